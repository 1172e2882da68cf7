"""The wheels of ``cargo xtask wheels --prove sdist``, as far as they were built: they answer."""

from __future__ import annotations

import subprocess
from importlib.util import find_spec
from pathlib import Path

import trifold_demo_models

SAMPLE = Path(trifold_demo_models.__file__).parent / "samples" / "draw-a-red-circle.wav"
SAID = "Draw a red circle on a blue background."


def text() -> None:
    from trifold_llama import Llama

    with Llama("demo:story") as llm:
        completion = llm.generate("Once upon a time", max_tokens=12, temperature=0)
    assert completion.text == ", in a quiet village, there lived a tired puppy"


def speech() -> None:
    from trifold_whisper import Whisper

    with Whisper("demo:speech") as whisper:
        assert whisper.transcribe(SAMPLE).text == SAID


def picture() -> None:
    from trifold_diffusion import Diffusion

    with Diffusion("demo:picture") as sd:
        red, green, blue = sd.generate("a red circle on a blue background", seed=1).pixel(64, 64)
    assert red > 150 > 100 > max(green, blue)


def program() -> None:
    from trifold.__main__ import program

    command = [program(), "transcribe", str(SAMPLE), "--quiet"]
    assert SAID in subprocess.run(command, capture_output=True, text=True, check=True).stdout


PACKAGES = {
    "trifold_llama": text,
    "trifold_whisper": speech,
    "trifold_diffusion": picture,
    "trifold": program,
}


def test_they_answer() -> None:
    found = [name for name in PACKAGES if find_spec(name)]
    assert found or find_spec("trifold_demo_models")
    for name in found:
        PACKAGES[name]()
