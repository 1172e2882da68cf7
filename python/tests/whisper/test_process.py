"""What it does to its process: signals, forks, the end, output, sub-interpreters."""

from __future__ import annotations

import doctest
import importlib
import logging
import os
import re
from pathlib import Path

import pytest
from trifold_whisper import Whisper

PRELUDE = """
import numpy as np, os, signal, sys, threading, time
import trifold_whisper as tw
whisper = tw.Whisper()
light = "samples/kitchen-light.wav"
long = np.resize(tw.load_audio("samples/two-sentences.wav"), 300 * 16000)
def check():
    assert whisper.transcribe(light, timeout=20).text == "Turn on the kitchen light."
"""


def succeeds(result):
    assert (result.returncode, result.stderr) == (0, ""), result
    return result.stdout


@pytest.mark.parametrize(
    "call",
    [
        "whisper.transcribe(long, on_segment=found)",
        "[found(segment) for segment in whisper.stream(long)]",
    ],
)
def test_ctrl_c(child, call):
    # Three times, since other work on this machine may delay one.
    script = f"""{PRELUDE}
def press():
    global pressed
    pressed = time.monotonic()
    os.kill(os.getpid(), signal.SIGINT)
def found(segment):
    if not presses:
        presses.append(threading.Timer(0.2, press))
        presses[0].start()
for _ in range(3):
    presses = []
    try:
        {call}
    except KeyboardInterrupt:
        print(time.monotonic() - pressed)
    check()
"""
    delays = [float(line) for line in succeeds(child(script)).split()]
    assert len(delays) == 3 and min(delays) < 1


def test_the_end_of_the_interpreter_stops_running_calls(child):
    script = f"""{PRELUDE}
started = threading.Event()
def work():
    try:
        whisper.transcribe(long, on_segment=lambda _: started.set())
    except tw.WhisperError:
        pass
threading.Thread(target=work, daemon=True).start()
assert started.wait(30)
print("end")
"""
    assert succeeds(child(script, timeout=30)) == "end\n"


def test_the_end_of_the_interpreter_with_a_stream_open(child):
    script = f"""{PRELUDE}
stream = whisper.stream(long)
print(next(stream))
"""
    assert succeeds(child(script, timeout=30)) == "Tell me a story about a hungry duck.\n"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_fork_is_explained(child):
    script = f"""{PRELUDE}
import warnings
warnings.simplefilter("ignore", DeprecationWarning)
pid = os.fork()
if pid == 0:
    code = 1
    try:
        for call in (lambda: whisper.transcribe(light), lambda: whisper.detect_language(light),
                     lambda: whisper.path, whisper.share):
            try:
                call()
            except tw.ForkError as error:
                assert "before the process was forked" in str(error) and "spawn" in error.hint
            else:
                raise AssertionError("no error")
        whisper.close()
        # A model of its own works.
        assert tw.Whisper().transcribe(light, threads=1).text == "Turn on the kitchen light."
        code = 0
    finally:
        os._exit(code)
_, status = os.waitpid(pid, 0)
assert status == 0, status
check()
"""
    succeeds(child(script))


def test_sub_interpreters_are_refused(child):
    script = """
import os
try:
    import _interpreters as interpreters
except ImportError:
    import _xxsubinterpreters as interpreters
import trifold_whisper
read, write = os.pipe()
interpreters.run_string(interpreters.create(), f'''
import os
try:
    import trifold_whisper
except ImportError as error:
    os.write({write}, repr(error).encode())
else:
    os.write({write}, b"imported")
''')
print(os.read(read, 1000).decode())
"""
    said = child(script).stdout
    assert re.search("ImportError.*sub-?interpreter", said), said


def test_importing_loads_little(child):
    script = """
import sys
before = set(sys.modules)
import trifold_whisper
print(*sorted(set(sys.modules) - before))
"""
    loaded = set(succeeds(child(script)).split())
    assert {name for name in loaded if "trifold_whisper" not in name} <= {
        "__future__",
        "atexit",
        "errno",
    }


def test_a_path_needs_no_numpy(child):
    script = """
import sys, trifold_whisper as tw
print(tw.Whisper().transcribe("samples/kitchen-light.wav").to_text(), "numpy" in sys.modules)
"""
    assert succeeds(child(script)) == "Turn on the kitchen light.\n False\n"


def test_nothing_is_printed(child):
    script = f"""{PRELUDE}
import logging
records = []
class Keep(logging.Handler):
    def emit(self, record):
        records.append(record)
logger = logging.getLogger("trifold_whisper")
logger.addHandler(Keep())
logger.propagate = False
logger.setLevel(logging.DEBUG)
with tw.Whisper() as other:
    other.transcribe(light, beam_size=2, word_timestamps=True)
assert len(records) > 3 and all(record.name == "trifold_whisper" for record in records)
"""
    assert succeeds(child(script)) == ""


def test_what_is_stopped_on_purpose_is_no_error(child):
    script = f"""{PRELUDE}
def stop(_):
    cancel.cancel()
for call in (lambda: whisper.transcribe(long, cancel=cancel, on_segment=stop),
             lambda: tw.Whisper(cancel=cancel, progress=stop)):
    cancel = tw.CancelToken()
    try:
        call()
    except tw.CancelledError as error:
        print(error)
"""
    # Nor is anything said on stderr, where warnings go when nobody has set up logging.
    assert succeeds(child(script)) == "The call was cancelled\n" * 2


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
