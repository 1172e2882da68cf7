"""Ctrl-C in the middle of the engine's work, where nothing of it was said yet."""

from __future__ import annotations

import subprocess
import sys

import pytest

PRELUDE = """
import os, signal, threading, time
import trifold_llama as tl
llm = tl.Llama("demo:story", n_ctx=8192, threads=1)
first = llm.generate("Once upon a time", max_tokens=8, temperature=0).text
vector = llm.embed(["a red cat"])
tokens = llm.tokenize("Once upon a time. " * 5000)
def check():
    assert llm.generate("Once upon a time", max_tokens=8, temperature=0).text == first
    assert (llm.embed(["a red cat"]) == vector).all()
def press():
    global pressed
    pressed = time.monotonic()
    os.kill(os.getpid(), signal.SIGINT)
"""


@pytest.mark.parametrize(
    "call",
    [
        "llm.generate(' river' * 8000, max_tokens=8)",
        "llm.embed([' river' * 500] * 500)",
        "llm.embed([' river' * 8000] * 20)",
        "[llm.tokenize('Once upon a time. ' * 100_000) for _ in range(100)]",
        "[llm.detokenize(tokens) for _ in range(10_000)]",
    ],
)
def test_ctrl_c(call):
    # Three times, since other work on this machine may delay one.
    script = f"""{PRELUDE}
for _ in range(3):
    timer = threading.Timer(0.1, press)
    timer.start()
    try:
        {call}
    except KeyboardInterrupt:
        print(time.monotonic() - pressed)
    timer.join()
    check()
"""
    result = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=120, check=False
    )
    assert (result.returncode, result.stderr) == (0, ""), result
    delays = [float(line) for line in result.stdout.split()]
    assert len(delays) == 3 and min(delays) < 1
