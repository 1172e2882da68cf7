"""What calls give back."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Optional


@dataclass(frozen=True)
class SpokenLanguage:
    """A language, and how it became known. ``str()`` gives the code."""

    code: str
    """The code, such as ``en``."""
    name: str
    """The English name, such as ``english``."""
    probability: Optional[float]
    """How probable it is, 0 to 1, if it was detected; 1 if the model knows no other."""

    def __str__(self) -> str:
        return self.code


@dataclass(frozen=True)
class Token:
    """A token of the model. ``str()`` gives its text."""

    id: int
    """Its number in the vocabulary."""
    text: str
    """Its text, often with a blank before it; U+FFFD stands for bytes that are no text by themselves."""
    probability: float
    """How probable the model took it to be, 0 to 1."""

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True)
class Word:
    """A word, with the punctuation that belongs to it. ``str()`` gives its text.

    In languages that are written without blanks it is a character.
    """

    start: float
    """When it begins, in seconds: an estimate."""
    end: float
    """When it ends, in seconds: an estimate, never before its start."""
    text: str
    """The text, without blanks around it."""
    probability: float
    """The mean of its tokens' probabilities, 0 to 1."""

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True)
class Segment:
    """A piece of text, from a word to some sentences. ``str()`` gives the text."""

    start: float
    """When it begins, in seconds from the beginning of the audio."""
    end: float
    """When it ends, in seconds; never before its start."""
    text: str
    """The text, without blanks around it."""
    no_speech_probability: float
    """How probable it is that nobody speaks in the 30 s window in which it lies, 0 to 1."""
    words: tuple[Word, ...]
    """The words; empty without the option ``word_timestamps``."""
    tokens: tuple[Token, ...] = field(repr=False)
    """The tokens, without those that stand for times and other special things."""

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True)
class Timings:
    """How long a transcription took."""

    audio: Optional[float]
    """Seconds for reading, decoding and resampling the file; None where samples were given."""
    detection: Optional[float]
    """Seconds for detecting the language; None where it was given."""
    engine: float
    """Seconds of the engine's work on the transcript."""
    total: float
    """Seconds for all of it."""
    real_time_factor: float
    """How many times faster than the transcribed part of the audio plays."""
    threads: int
    """Threads that the engine used."""


@dataclass(frozen=True)
class Transcript:
    """What was said, and when. ``str()`` gives the text.

    Times are seconds from the beginning of the audio, whatever the option ``offset``. Transcripts of the
    same content are equal, however long they took.
    """

    text: str
    """All of the text, in one line."""
    language: SpokenLanguage
    """The language that was given or detected."""
    segments: tuple[Segment, ...]
    """The text in pieces, in the order of time."""
    duration: float
    """How long the audio is, all of it, in seconds."""
    timings: Timings = field(compare=False)
    """How long it took."""

    def to_text(self) -> str:
        """The text alone, one line for each segment.

        Examples:
            >>> from trifold_whisper import Whisper
            >>> transcript = Whisper("demo:speech").transcribe("samples/two-sentences.wav")
            >>> print(transcript.to_text(), end="")
            Tell me a story about a hungry duck.
            Play the next song, please.
        """
        from . import _native

        return _native.to_text(self)

    def to_srt(self) -> str:
        """Subtitles in SubRip's format (``.srt``): numbered, times as ``00:00:00,200``."""
        from . import _native

        return _native.to_srt(self)

    def to_vtt(self) -> str:
        """Subtitles in WebVTT's format (``.vtt``): times as ``00:00:00.200``."""
        from . import _native

        return _native.to_vtt(self)

    def to_json(self) -> str:
        """Everything, as indented JSON. Times are seconds, rounded to milliseconds."""
        from . import _native

        return _native.to_json(self)

    def __str__(self) -> str:
        return self.text
