"""Every option, accepted and refused."""

from __future__ import annotations

import pytest
from trifold_whisper import CancelToken, DetectOptions, OptionError, TranscribeOptions, Whisper

DUCK = "Tell me a story about a hungry duck."
SONG = "Play the next song, please."

ACCEPTED = {
    "beam_size": 2,
    "best_of": 2,
    "cancel": CancelToken(),
    "duration": 2.2,
    "entropy_threshold": 1.0,
    "initial_prompt": "Songs and stories.",
    "language": "English",
    "logprob_threshold": -3,
    "max_segment_chars": 12,
    "no_speech_threshold": 0.9,
    "offset": 2.2,
    "single_segment": True,
    "suppress_blank": False,
    "suppress_non_speech": True,
    "temperature": 0.01,
    "temperature_step": 0,
    "threads": 1,
    "timeout": 60,
    "translate": True,
    "word_timestamps": True,
}
#: What becomes of the two sentences.
TEXTS = {"duration": DUCK, "offset": SONG}


def test_the_list_of_options_is_complete():
    assert TranscribeOptions.__required_keys__ == frozenset()
    assert set(TranscribeOptions.__optional_keys__) == set(ACCEPTED)


@pytest.mark.parametrize("name", sorted(ACCEPTED))
def test_accepted(whisper, sample, name):
    options = {"language": "en", name: ACCEPTED[name]}
    transcript = whisper.transcribe(sample("two-sentences.wav"), **options)
    if name == "translate":  # the demo model was not trained for it
        assert isinstance(transcript.text, str)
        return
    assert transcript.text == TEXTS.get(name, f"{DUCK} {SONG}")
    assert transcript.duration == 4.53


@pytest.mark.parametrize("name", sorted(ACCEPTED))
def test_none_is_the_default(whisper, kitchen_light, name):
    options = {"language": "en", name: None}
    assert whisper.transcribe(kitchen_light, **options).text == "Turn on the kitchen light."


def test_what_options_do(whisper, sample):
    def transcribe(**options):
        return whisper.transcribe(sample("two-sentences.wav"), **options)

    assert transcribe(offset=2.2).segments[0].start == pytest.approx(2.45, abs=0.1)
    assert transcribe(duration=2.2).segments[-1].end <= 2.2
    assert len(transcribe(single_segment=True).segments) == 1
    assert max(len(segment.text) for segment in transcribe(max_segment_chars=12).segments) <= 12
    assert all(not segment.words for segment in transcribe().segments)
    assert all(segment.words for segment in transcribe(word_timestamps=True).segments)
    assert transcribe(language="auto").language.probability is not None
    assert transcribe(language="en").language.probability is None
    assert transcribe(threads=1).timings.threads == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"beam_size": 0}, "option beam_size: 0 .expected 1 to 8"),
        ({"beam_size": 9}, "option beam_size: 9"),
        ({"best_of": 0}, "option best_of: 0 .expected 1 to 8"),
        ({"beam_size": 2, "best_of": 9}, "option best_of: 9"),
        ({"duration": 0}, "option duration"),
        ({"entropy_threshold": -0.1}, "option entropy_threshold: -0.1"),
        ({"entropy_threshold": 1e300}, "option entropy_threshold: inf"),
        ({"initial_prompt": "a" * 2049}, "option initial_prompt: 2049 bytes"),
        ({"initial_prompt": "a b " * 300}, "option initial_prompt: .* tokens .expected at most 223"),
        ({"initial_prompt": "a\0b"}, "without NUL"),
        ({"language": "klingon"}, "option language: klingon .expected one of en, zh"),
        ({"language": ""}, "option language"),
        ({"logprob_threshold": 1}, "option logprob_threshold: 1"),
        ({"max_segment_chars": 0}, "option max_segment_chars: 0 .expected at least 1"),
        ({"max_segment_chars": 9, "single_segment": True}, "option single_segment: True .expected False"),
        ({"no_speech_threshold": 1.1}, "option no_speech_threshold: 1.1"),
        ({"offset": 100}, "option offset: 100s .expected less than the audio's length"),
        ({"temperature": -1}, "option temperature: -1"),
        ({"temperature": float("nan")}, "option temperature: NaN"),
        ({"temperature": 1e-9}, "option temperature"),
        ({"temperature_step": 2}, "option temperature_step: 2 .expected 0, or 0.05 to 1"),
        ({"threads": 0}, "option threads: 0 .expected 1 to 512"),
        ({"threads": 513}, "option threads: 513"),
    ],
)
def test_refused(whisper, kitchen_light, options, message):
    with pytest.raises(OptionError, match=message) as caught:
        whisper.transcribe(kitchen_light, **options)
    assert isinstance(caught.value, ValueError)
    assert caught.value.hint in str(caught.value)
    assert "Rust" not in str(caught.value)


@pytest.mark.parametrize("name", ["beam_size", "best_of", "max_segment_chars", "threads"])
@pytest.mark.parametrize("value", [-1, 1 << 64, 10**30])
def test_counts_that_no_machine_word_holds(whisper, kitchen_light, name, value):
    with pytest.raises(ValueError, match=name):
        whisper.transcribe(kitchen_light, **{name: value})


@pytest.mark.parametrize("name", ["offset", "duration", "timeout"])
@pytest.mark.parametrize("value", [-1, -1e-9, float("nan"), float("inf"), 1e300])
def test_times_that_are_none(whisper, kitchen_light, name, value):
    with pytest.raises(ValueError, match=f"seconds, 0 or more, for option {name}"):
        whisper.transcribe(kitchen_light, **{name: value})


@pytest.mark.parametrize("name", sorted(ACCEPTED))
def test_wrong_types(whisper, kitchen_light, name):
    with pytest.raises(TypeError, match=rf"option {name} \(.*found: .*Strange"):
        whisper.transcribe(kitchen_light, **{name: type("Strange", (), {})()})


def test_unknown_options(whisper, kitchen_light):
    with pytest.raises(TypeError, match=r"(?s)Unknown option: word_times\n.*word_timestamps"):
        whisper.transcribe(kitchen_light, word_times=True)
    with pytest.raises(TypeError, match="Unknown option: beam_size"):
        whisper.detect_language(kitchen_light, beam_size=1)
    with pytest.raises(TypeError):
        Whisper(threads=1)
    with pytest.raises(TypeError):
        whisper.transcribe(kitchen_light, "en")


def test_detecting(whisper, kitchen_light):
    assert set(DetectOptions.__optional_keys__) == {"threads", "timeout", "cancel"}
    assert whisper.detect_language(kitchen_light, threads=2, timeout=60, cancel=CancelToken())
    for threads in (0, 513):
        with pytest.raises(OptionError, match="option threads"):
            whisper.detect_language(kitchen_light, threads=threads)
    with pytest.raises(ValueError, match="threads"):
        whisper.detect_language(kitchen_light, threads=-1)
