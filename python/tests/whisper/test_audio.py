"""Audio files and arrays, good and bad."""

from __future__ import annotations

import array
import errno
import os
import wave

import numpy as np
import pytest
import trifold_whisper
from trifold_whisper import AudioError, AudioNotFoundError, CancelToken, WhisperError, load_audio, resample

LIGHT = "Turn on the kitchen light."
#: Detecting it would take as long again.
ENGLISH = {"language": "en"}


@pytest.fixture
def samples(kitchen_light):
    return load_audio(kitchen_light)


@pytest.mark.parametrize(
    "suffix",
    [".mp3", ".flac", ".ogg", ".m4a", "-alac.m4a", ".webm", ".aiff", "-mulaw.wav", "-adpcm.wav"],
)
def test_formats(whisper, fixture, suffix):
    path = fixture(suffix)
    samples = load_audio(path)
    assert samples.dtype == np.float32 and samples.ndim == 1
    assert len(samples) / trifold_whisper.SAMPLE_RATE == pytest.approx(1.75, abs=0.11)
    assert np.abs(samples).max() <= 1.1
    assert whisper.transcribe(path, **ENGLISH).text == LIGHT
    assert whisper.transcribe(samples, **ENGLISH).text == LIGHT


def test_paths_of_every_kind(whisper, kitchen_light, tmp_path):
    class Path:
        def __fspath__(self):
            return os.fspath(kitchen_light)

    assert whisper.transcribe(str(kitchen_light)) == whisper.transcribe(Path())
    assert np.array_equal(load_audio(str(kitchen_light)), load_audio(Path()))
    assert whisper.detect_language(Path())[0].code == "en"
    name = tmp_path / "höre zu.wav"
    name.write_bytes(kitchen_light.read_bytes())
    assert whisper.transcribe(name).text == LIGHT
    # A name that is no UTF-8.
    odd = os.fsdecode(os.fsencode(tmp_path) + b"/\xff\xfe.wav")
    os.link(name, odd)
    assert whisper.transcribe(odd).text == LIGHT


def test_arrays_of_every_kind(whisper, samples):
    expected = whisper.transcribe(samples, **ENGLISH)
    assert expected.text == LIGHT
    twice = np.repeat(samples, 2)
    readonly = samples.copy()
    readonly.flags.writeable = False
    unaligned = np.frombuffer(b"\0" + samples.tobytes(), dtype=np.uint8)[1:].view(np.float32)
    assert not unaligned.flags.aligned

    class Tensor:
        def __array__(self, dtype=None, copy=None):
            return samples

    for given in (
        samples.astype(np.float64),
        samples.astype(">f4"),
        samples.astype(">f8"),
        twice[::2],
        samples[::-1].copy()[::-1],
        np.stack([samples, samples], axis=1)[:, 0],
        readonly,
        unaligned,
        memoryview(samples),
        array.array("f", samples.tobytes()),
        samples.tolist(),
        tuple(samples.tolist()),
        Tensor(),
    ):
        assert whisper.transcribe(given, **ENGLISH) == expected
    assert whisper.detect_language(twice[::2])[0].code == "en"


def test_no_copy_is_made_of_what_needs_none(samples):
    from trifold_whisper._audio import as_samples

    assert as_samples(samples) is samples
    assert np.shares_memory(as_samples(memoryview(samples)), samples)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (np.zeros(16000, np.int16), "found: int16.*samples / 32768.0"),
        (np.zeros(16000, np.int32), "found: int32.*samples / 2147483648.0"),
        (np.zeros(16000, np.uint8), r"found: uint8.*\(samples - 128.0\) / 128.0"),
        (np.zeros(16000, np.float16), r"found: float16.*astype\(numpy.float32\)"),
        (np.zeros(16000, np.longdouble), "found: float128.*astype"),
        (np.zeros(16000, np.complex64), "found: ndarray"),
        (np.zeros(16000, bool), "found: ndarray"),
        (np.array(["a", "b"]), "found: ndarray"),
        (array.array("h", [0] * 16000), "found: int16"),
        ([0] * 16000, "found: int64"),
        (None, "found: NoneType"),
        (3, "found: int"),
        (b"speech.wav", "found: bytes"),
        ({"path": "speech.wav"}, "found: dict"),
        (object(), "found: object"),
    ],
    ids=lambda value: type(value).__name__ if not isinstance(value, str) else value[:16],
)
def test_what_is_no_audio_is_a_type_error(whisper, given, message):
    for call in (whisper.transcribe, whisper.stream, whisper.detect_language):
        with pytest.raises(TypeError, match=f"(?s){message}"):
            call(given)


@pytest.mark.parametrize(
    ("shape", "hint"),
    [
        ((16000, 2), r"samples.mean\(axis=1\)"),
        ((2, 16000), r"samples.mean\(axis=0\)"),
        ((1, 16000), r"samples.mean\(axis=0\)"),
        ((2, 2, 4), "one number for each sample"),
        ((), "one number for each sample"),
    ],
)
def test_shapes(whisper, shape, hint):
    with pytest.raises(AudioError, match=r"shape \(n,\)") as caught:
        whisper.transcribe(np.zeros(shape, np.float32))
    assert isinstance(caught.value, ValueError)
    with pytest.raises(AudioError, match=hint):
        resample(np.zeros(shape), 8000)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (np.nan, r"found: NaN at index 1000, 00:00:00.06"),
        (np.inf, "found: inf"),
        (-np.inf, "found: -inf"),
        (32767.0, r"found: 32767 at index 1000.*\n.*divided by 32768"),
        (1e300, "found: inf"),
        (-8.001, "found: -8.001"),
    ],
)
def test_values_far_from_audio(whisper, value, message):
    bad = np.zeros(16000)
    bad[1000] = value
    for call in (whisper.transcribe, whisper.detect_language):
        with pytest.raises(AudioError, match=message):
            call(bad)


def test_ten_seconds_of_nan_and_of_silence(whisper):
    with pytest.raises(AudioError, match="index 0"):
        whisper.transcribe(np.full(160_000, np.nan, np.float32))
    assert whisper.transcribe(np.zeros(160_000, np.float32)).duration == 10
    assert whisper.transcribe(np.zeros(1, np.float32)).duration == 0.0000625


def test_no_samples(whisper):
    for given in ([], np.zeros(0, np.float32), np.zeros(0)):
        with pytest.raises(AudioError, match="found: none"):
            whisper.transcribe(given)
    assert len(resample([], 8000)) == 0


def test_bad_files(whisper, tmp_path, fixture):
    missing = tmp_path / "missing.wav"
    empty = tmp_path / "empty.wav"
    empty.touch()
    noise = tmp_path / "noise.wav"
    noise.write_bytes(bytes(range(256)) * 40)
    pipe = tmp_path / "pipe.wav"
    os.mkfifo(pipe)
    for call in (whisper.transcribe, load_audio, whisper.detect_language):
        with pytest.raises(AudioNotFoundError) as caught:
            call(missing)
        assert isinstance(caught.value, (FileNotFoundError, AudioError, ValueError))
        assert (caught.value.errno, caught.value.filename) == (errno.ENOENT, str(missing))
        assert str(missing) in caught.value.message and "no such file" in caught.value.hint
        for path, message in (
            (empty, "an empty file"),
            (tmp_path, "a directory"),
            (pipe, "a pipe"),
            (noise, "noise.wav"),
            (whisper.path, "a model file"),
            (fixture(".opus"), "(?i)opus"),
            ("a\0b.wav", "NUL|nul"),
        ):
            with pytest.raises((AudioError, ValueError), match=message):
                call(path)
    for wrong in (None, 3, b"speech.wav", []):
        with pytest.raises(TypeError):
            load_audio(wrong)


def test_a_file_that_was_cut_off_is_warned_of(whisper, kitchen_light, tmp_path, caplog):
    short = tmp_path / "short.wav"
    short.write_bytes(kitchen_light.read_bytes()[:40_000])
    samples = load_audio(short)
    assert 1.0 < len(samples) / 16000 < 1.75
    (record,) = (record for record in caplog.records if record.name == "trifold_whisper")
    assert record.levelname == "WARNING"
    assert "only the beginning" in record.getMessage() and str(short) in record.getMessage()


def test_loading_is_stopped(kitchen_light):
    cancel = CancelToken()
    cancel.cancel()
    with pytest.raises(trifold_whisper.CancelledError):
        load_audio(kitchen_light, cancel=cancel)
    with pytest.raises(trifold_whisper.TimedOutError):
        load_audio(kitchen_light, timeout=0)
    for wrong in (-1.0, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="timeout"):
            load_audio(kitchen_light, timeout=wrong)
    with pytest.raises(TypeError, match="timeout"):
        load_audio(kitchen_light, timeout="soon")
    with pytest.raises(TypeError, match="cancel"):
        load_audio(kitchen_light, cancel=True)


def test_resampling(whisper, kitchen_light, tmp_path):
    with wave.open(str(kitchen_light)) as file:
        rate, frames = file.getframerate(), file.readframes(file.getnframes())
    samples = np.frombuffer(frames, "<i2") / 32768.0
    up = np.interp(np.arange(0, len(samples), rate / 44_100), np.arange(len(samples)), samples)
    for given in (up, up.astype(">f4"), np.repeat(up, 2)[::2]):
        resampled = resample(given, 44_100)
        assert resampled.dtype == np.float32
        assert len(resampled) == -(-len(up) * 16_000 // 44_100)
        assert whisper.transcribe(resampled).text == LIGHT
    for rate in (0, 999, 768_001):
        with pytest.raises(trifold_whisper.OptionError, match="1000 to 768000"):
            resample(up, rate)
    for rate in (-1, 1 << 40):
        with pytest.raises(ValueError, match="rate"):
            resample(up, rate)
    for rate in (44_100.5, "44100", None):
        with pytest.raises(TypeError, match="rate"):
            resample(up, rate)
    with pytest.raises(TypeError, match="found: int16"):
        resample(up.astype(np.int16), 44_100)


def test_the_root_of_errors_catches_all_of_them(whisper, tmp_path):
    for call in (
        lambda: whisper.transcribe(tmp_path / "missing.wav"),
        lambda: whisper.transcribe([]),
        lambda: whisper.transcribe(np.zeros((2, 2))),
    ):
        with pytest.raises(WhisperError):
            call()
