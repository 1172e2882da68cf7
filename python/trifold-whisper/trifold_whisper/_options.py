"""The options of calls. For type checkers: at run time they are keyword arguments."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypedDict

if TYPE_CHECKING:
    from ._native import CancelToken


class CallOptions(TypedDict, total=False):
    """What every long call takes."""

    timeout: float | None
    """Seconds until ``TimedOutError``, waiting for other calls included."""
    cancel: CancelToken | None
    """Stops the call from anywhere."""


class DetectOptions(CallOptions, total=False):
    """How to detect the language."""

    threads: int | None
    """Threads to compute with, 1 to 512 (what other running calls leave of the physical cores that the
    process may use)."""


class TranscribeOptions(DetectOptions, total=False):
    """How to transcribe. The defaults, in brackets, are whisper.cpp's own."""

    language: str | None
    """The language that is spoken, as code or English name, such as ``de`` or ``german`` (None: it is
    detected, in the first 30 s)."""
    translate: bool
    """Write down an English translation instead of what was said. It takes a multilingual model that was
    trained for it (False)."""
    word_timestamps: bool
    """Find the times of words: estimates, from the model's own times, the lengths of the words and where
    the recording is loud (False)."""
    initial_prompt: str | None
    """Text that the model takes for what was said before: names and spellings, or the end of the part
    before. At most 2048 bytes, and half of the model's context in tokens, less one: 223 for all of
    OpenAI's (none)."""
    beam_size: int | None
    """Follow so many transcripts at once, 1 to 8: slower, sometimes better (None: greedily, the
    likeliest token)."""
    best_of: int
    """Attempts that are made at temperatures above 0, of which the best wins, 1 to 8 (5)."""
    temperature: float
    """The temperature of the first attempt, 0 or from 0.01 to 1. At 0 results are reproducible (0)."""
    temperature_step: float
    """Added to the temperature when an attempt fails: 0 for no further attempts, or from 0.05 to 1.
    Attempts end with temperature 1 (0.2)."""
    entropy_threshold: float
    """An attempt fails if the entropy of its last 32 tokens is below this, because it repeats itself; 0
    to 10 (2.4)."""
    logprob_threshold: float
    """An attempt fails if the mean of its tokens' log probabilities is below this; -100 to 0 (-1)."""
    no_speech_threshold: float
    """Where the probability that nobody speaks is above this, and the attempt fails by its log
    probabilities, there is taken to be no speech; 0 to 1 (0.6)."""
    max_segment_chars: int | None
    """The most characters of a segment, at least 1; longer ones are split between words, so that only a
    segment of one word can be longer (as the model has it)."""
    single_segment: bool
    """Make one segment of every 30 s window, for short utterances (False)."""
    suppress_blank: bool
    """A transcript must not begin with a blank (True)."""
    suppress_non_speech: bool
    """Leave out tokens that are no speech, such as musical notes and brackets (False)."""
    offset: float
    """Seconds of the beginning to skip; less than the audio's length. Times in the result count from the
    beginning of the audio all the same (0)."""
    duration: float | None
    """Seconds to transcribe from the offset on; more than 0 (all)."""
