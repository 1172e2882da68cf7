"""What ends calls early, and that objects can be used afterwards."""

from __future__ import annotations

import copy
import pickle
import threading
import time

import pytest
import trifold_whisper
from trifold_whisper import (
    CancelledError,
    CancelToken,
    ClosedError,
    ModelError,
    ModelNotFoundError,
    OptionError,
    TimedOutError,
    Whisper,
)

LIGHT = "Turn on the kitchen light."


@pytest.fixture
def still_works(whisper, kitchen_light):
    """After the test, and without waiting for what it left behind."""
    yield
    assert whisper.transcribe(kitchen_light, timeout=20, language="en").text == LIGHT


class Mine(Exception):
    pass


@pytest.mark.parametrize("which", ["progress", "on_segment"])
@pytest.mark.parametrize("error", [Mine, KeyboardInterrupt, SystemExit])
def test_callbacks_that_raise(whisper, long_speech, still_works, which, error):
    calls = []

    def fail(value):
        calls.append(value)
        raise error("mine")

    with pytest.raises(error, match="mine"):
        whisper.transcribe(long_speech, language="en", **{which: fail})
    assert len(calls) == 1


def test_a_progress_callback_that_raises_while_loading():
    def fail(fraction):
        raise Mine(fraction)

    with pytest.raises(Mine, match=r"0\.0"):
        Whisper(progress=fail)


def test_callbacks_that_use_the_object(whisper, kitchen_light):
    """They run on the calling thread, beside the worker."""
    texts = []

    def nested(segment):
        texts.append(whisper.size + segment.text)

    whisper.transcribe(kitchen_light, on_segment=nested)
    assert texts == ["tiny" + LIGHT]


def test_what_is_no_function(whisper, kitchen_light, still_works):
    with pytest.raises(TypeError, match="not callable"):
        whisper.transcribe(kitchen_light, on_segment="print")


def test_time_limits(whisper, long_speech, kitchen_light, still_works):
    for call in (whisper.transcribe, whisper.detect_language):
        with pytest.raises(TimedOutError, match="0 s, as the option timeout says"):
            call(long_speech, timeout=0)
    started = time.monotonic()
    with pytest.raises(TimedOutError) as caught:
        whisper.transcribe(long_speech, timeout=0.5)
    assert isinstance(caught.value, TimeoutError)
    assert caught.value.errno is None
    assert time.monotonic() - started < 5
    with pytest.raises(TimedOutError):
        Whisper(timeout=0)
    # Waiting for another call counts.
    with whisper.stream(long_speech, language="en"), pytest.raises(TimedOutError):
        whisper.transcribe(kitchen_light, timeout=0.2)


def test_tokens(whisper, long_speech, kitchen_light, still_works):
    token = CancelToken()
    threading.Timer(0.3, token.cancel).start()
    with pytest.raises(CancelledError):
        whisper.transcribe(long_speech, cancel=token)
    assert token.cancelled
    # It stays so.
    for call in (whisper.transcribe, whisper.detect_language):
        with pytest.raises(CancelledError):
            call(kitchen_light, cancel=token)
    with pytest.raises(CancelledError):
        Whisper(cancel=token)
    # From a callback.
    token = CancelToken()
    with pytest.raises(CancelledError):
        whisper.transcribe(long_speech, cancel=token, on_segment=lambda _: token.cancel())


def test_streams_closed_half_way(whisper, long_speech, still_works):
    stream = whisper.stream(long_speech, language="en")
    next(stream)
    stream.close()
    stream.close()
    assert list(stream) == []
    with pytest.raises(ClosedError, match="closed before its end"):
        stream.complete()

    with whisper.stream(long_speech, language="en") as stream:
        next(stream)
    assert next(stream, None) is None

    stream = whisper.stream(long_speech, language="en")
    next(stream)
    del stream


def test_a_stream_is_closed_by_another_thread(whisper, long_speech, still_works):
    stream = whisper.stream(long_speech, language="en")
    threading.Timer(0.3, stream.close).start()
    with pytest.raises(CancelledError):
        for _ in stream:
            pass
    with pytest.raises(ClosedError):
        stream.complete()


def test_a_stream_that_two_threads_wait_for(whisper, long_speech, still_works):
    stream = whisper.stream(long_speech, language="en")
    errors, stop = [], time.monotonic() + 30

    def take():
        try:
            while not errors and time.monotonic() < stop:
                next(stream)
        except ValueError as error:
            errors.append(error)
        except CancelledError:
            pass

    threads = [threading.Thread(target=take) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(40)
    stream.close()
    assert "another thread" in str(errors[0])


def test_an_error_ends_a_stream(whisper, kitchen_light, still_works):
    stream = whisper.stream(kitchen_light, best_of=0)
    with pytest.raises(OptionError):
        next(stream)
    assert next(stream, None) is None
    with pytest.raises(ClosedError):
        stream.complete()


def test_closed_objects(kitchen_light):
    whisper = Whisper()
    assert not whisper.closed
    waiting = whisper.stream(kitchen_light)
    whisper.close()
    whisper.close()
    assert whisper.closed
    assert repr(whisper) == "<Whisper, closed>"
    with pytest.raises((CancelledError, ClosedError)):
        waiting.complete()
    for call in (
        lambda: whisper.transcribe(kitchen_light),
        lambda: whisper.stream(kitchen_light),
        lambda: whisper.detect_language(kitchen_light),
        lambda: whisper.languages,
        lambda: whisper.path,
        lambda: whisper.hparams,
        lambda: whisper.share(),
    ):
        with pytest.raises(ClosedError, match="closed") as caught:
            call()
        assert isinstance(caught.value, ValueError)


def test_closing_stops_what_runs_in_another_thread(long_speech):
    whisper = Whisper()
    stream = whisper.stream(long_speech, language="en")
    next(stream)
    started = time.monotonic()
    whisper.close()
    assert time.monotonic() - started < 5
    with pytest.raises((CancelledError, ClosedError)):
        stream.complete()


def test_closed_objects_hold_no_memory():
    def resident():
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * 4096

    closed = []
    for _ in range(3):
        closed.append(Whisper())
        closed[-1].close()
    before = resident()
    for _ in range(30):
        closed.append(Whisper())
        closed[-1].close()
    # A model takes 8 MB, and its working memory more than that.
    assert resident() - before < 100e6


def test_copying_is_refused(whisper):
    for call in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match=r"Cannot pickle or copy a Whisper(?s:.*)path"):
            call(whisper)


def test_bad_models(tmp_path, kitchen_light):
    with pytest.raises(ModelNotFoundError, match=r"missing\.bin") as caught:
        Whisper(tmp_path / "missing.bin")
    assert isinstance(caught.value, FileNotFoundError)
    empty = tmp_path / "empty.bin"
    empty.touch()
    noise = tmp_path / "noise.bin"
    noise.write_bytes(bytes(range(256)) * 40)
    for path in (empty, noise, tmp_path, kitchen_light):
        with pytest.raises(ModelError, match="model"):
            Whisper(path)
    with Whisper() as good, open(good.path, "rb") as file:
        data = file.read()
    for length in (10, 1000, len(data) // 2, len(data) - 1):
        cut = tmp_path / "cut.bin"
        cut.write_bytes(data[:length])
        with pytest.raises(ModelError, match=r"cut\.bin"):
            Whisper(cut)
    with pytest.raises(ModelError, match=r"trifold-story\.gguf"):
        Whisper("demo:story")
    with pytest.raises(OptionError, match="demo:nothing"):
        Whisper("demo:nothing")
    for wrong in (None, 3, b"model.bin", []):
        with pytest.raises(TypeError):
            Whisper(wrong)


def test_names_are_exported():
    for name in trifold_whisper.__all__:
        assert getattr(trifold_whisper, name) is not None
    assert set(dir(trifold_whisper)) == set(trifold_whisper.__all__)
    with pytest.raises(AttributeError, match="no_such"):
        _ = trifold_whisper.no_such
