"""What it does to its process."""

from __future__ import annotations

import doctest
import importlib
import logging
from pathlib import Path

import pytest
from children import child
from process_life import *  # noqa: F403
from process_life import Package
from trifold_whisper import Whisper

SAMPLES = Path(__file__).parents[3] / "models" / "speech" / "samples"

PACKAGE = Package(
    name="trifold_whisper",
    load="tf.Whisper()",
    before="long()",
    setup=f"""
light = {str(SAMPLES / "kitchen-light.wav")!r}
sentences = {str(SAMPLES / "two-sentences.wav")!r}
english = dict(language="en", threads=1)
def long():
    import numpy
    return numpy.resize(tf.load_audio(sentences), 300 * 16000)
""",
    call="model.transcribe(light, timeout=30, **english).text",
    answer="Turn on the kitchen light.",
    long=("model.transcribe(long(), **english)", "list(model.stream(long(), **english))"),
    stoppable="model.transcribe(long(), cancel=token, **english)",
    uses=(
        "model.transcribe(light)",
        "model.detect_language(light)",
        "model.path",
        "model.share()",
        "next(running[0])",
    ),
    running="[model.stream(long())]",
    endings=(
        "model.transcribe(long(), on_segment=lambda _: started.set(), **english)",
        "[started.set() or tf.Whisper() for _ in iter(int, 1)]",
        "list(model.stream(long(), **english))",
    ),
    slow=("tf.Whisper(progress=slow)",),
    tour="""
model.transcribe(light, beam_size=2, word_timestamps=True)
model.detect_language(light)
tf.load_audio(light)
""",
)


def test_the_end_of_the_interpreter_with_a_stream_open():
    script = f"""{PACKAGE.prelude}
stream = model.stream(long(), **english)
print(next(stream))
"""
    assert child(script, timeout=40) == "Tell me a story about a hungry duck.\n"


def test_a_path_needs_no_numpy():
    script = f"""{PACKAGE.prelude}
print(model.transcribe(light, **english).to_text(), "numpy" in sys.modules)
"""
    assert child(script) == "Turn on the kitchen light.\n False\n"


def test_what_is_stopped_on_purpose_is_no_error():
    script = f"""{PACKAGE.prelude}
def stop(_):
    token.cancel()
for call in (lambda: model.transcribe(long(), cancel=token, on_segment=stop),
             lambda: tf.Whisper(cancel=token, progress=stop)):
    token = tf.CancelToken()
    try:
        call()
    except tf.CancelledError as error:
        print(error)
"""
    # Nor is anything said on stderr, where warnings go when nobody has set up logging.
    assert child(script) == "The call was cancelled\n" * 2


def test_logs_go_to_the_logger(caplog):
    caplog.set_level(logging.DEBUG, logger="trifold_whisper")
    with Whisper():
        pass
    names = {record.name for record in caplog.records}
    assert names == {"trifold_whisper"}
    assert any("model" in record.getMessage() for record in caplog.records)


def test_a_log_handler_that_raises_does_not_harm(whisper, kitchen_light):
    class Broken(logging.Handler):
        def emit(self, record):
            raise ArithmeticError(record.getMessage())

    logger = logging.getLogger("trifold_whisper")
    handler = Broken()
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    try:
        with pytest.raises(ArithmeticError):
            Whisper()
    finally:
        logger.removeHandler(handler)
        logger.setLevel(logging.NOTSET)
    assert whisper.transcribe(kitchen_light).text == "Turn on the kitchen light."


@pytest.mark.parametrize("name", ["", "._audio", "._results", "._whisper"])
def test_examples_run(name, monkeypatch, sample):
    monkeypatch.chdir(sample("x.wav").parent.parent)
    module = importlib.import_module("trifold_whisper" + name)
    result = doctest.testmod(module)
    assert result.failed == 0 and result.attempted > 0


def test_the_readme_is_true(monkeypatch, sample):
    monkeypatch.chdir(sample("x.wav").parent.parent)
    readme = Path(__file__).parents[2] / "trifold-whisper" / "README.md"
    # Fences are no output.
    text = readme.read_text().replace("\n```\n", "\n\n")
    test = doctest.DocTestParser().get_doctest(text, {}, "README.md", str(readme), 0)
    runner = doctest.DocTestRunner()
    runner.run(test)
    assert runner.failures == 0 and runner.tries > 10
