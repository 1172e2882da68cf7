"""Calls that are stopped in the middle of the engine's work, and what comes after."""

from __future__ import annotations

import pytest
from children import PRESS, check_ctrl_c

PRELUDE = """
import numpy as np
import trifold_whisper as tw
whisper = tw.Whisper()
light = "samples/kitchen-light.wav"
sentences = tw.load_audio("samples/two-sentences.wav")
# Its spectrogram takes seconds.
long = np.resize(sentences, 1800 * 16000)
def check():
    assert whisper.transcribe(light, threads=1).text == "Turn on the kitchen light."
"""


@pytest.mark.parametrize(
    ("call", "after"),
    [
        ("whisper.transcribe(long, threads=1)", 0.3),
        ("whisper.transcribe(long, language='en', threads=1)", 0.1),
        ("[whisper.detect_language(sentences, threads=1) for _ in range(1000)]", 0.2),
        ("tw.resample(long, 44100)", 0.1),
    ],
)
def test_ctrl_c(call, after, folder):
    check_ctrl_c(PRELUDE, call, after, cwd=folder)


def test_an_exception_of_a_callback_and_a_time_limit(child):
    script = f"""{PRELUDE}
def fail(_):
    raise ValueError("enough")
for _ in range(3):
    try:
        whisper.transcribe(long[: 120 * 16000], on_segment=fail)
    except ValueError as error:
        print(error)
    check()
    try:
        whisper.transcribe(long, language="en", timeout=0.1)
    except tw.TimedOutError as error:
        print(error)
    check()
"""
    result = child(script)
    assert (result.returncode, result.stderr) == (0, ""), result
    assert result.stdout.splitlines() == ["enough", "Stopped after 0.1 s, as the option timeout says"] * 3


def test_closing_and_the_end_wait_for_what_was_stopped(child):
    script = f"""{PRESS}{PRELUDE}
other = whisper.share()
for model in (other, whisper):
    threading.Timer(0.1, press).start()
    try:
        model.transcribe(long, language="en")
    except KeyboardInterrupt:
        print("stopped", flush=True)
    if model is other:
        model.close()
        check()
"""
    result = child(script)
    assert (result.returncode, result.stdout, result.stderr) == (0, "stopped\n" * 2, ""), result
