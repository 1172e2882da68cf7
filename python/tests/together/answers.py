"""Run in a process of its own: imports packages in the order given, then says what our engines answer.

``python answers.py [--global] NAME…``; ``ours`` stands for our three packages. Prints one line of JSON.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import os
import sys
from pathlib import Path

OURS = ("trifold_llama", "trifold_whisper", "trifold_diffusion")


def main(arguments: list[str]) -> None:
    if "--global" in arguments:
        arguments.remove("--global")
        # As some programs do to share libraries between extensions: every symbol is visible to all.
        sys.setdlopenflags(os.RTLD_NOW | os.RTLD_GLOBAL)
    for name in arguments:
        for module in OURS if name == "ours" else [name]:
            importlib.import_module(module)
    print(json.dumps(answers(arguments)))


def answers(names: list[str]) -> dict[str, object]:
    """What the engines answer, of those that were imported."""
    found: dict[str, object] = {}
    if "ours" in names or "trifold_llama" in names:
        found["text"] = text()
    if "ours" in names or "trifold_whisper" in names:
        found["speech"] = speech()
    if "ours" in names or "trifold_diffusion" in names:
        found["picture"] = picture()
    return found


def text() -> list[int]:
    from trifold_llama import Llama

    with Llama("demo:story", threads=1) as llm:
        return list(llm.generate("Once upon a time", max_tokens=24, temperature=0).tokens)


def speech() -> str:
    import trifold_demo_models
    from trifold_whisper import Whisper

    sample = Path(trifold_demo_models.__file__).parent / "samples" / "draw-a-red-circle.wav"
    with Whisper("demo:speech") as whisper:
        return whisper.transcribe(sample, threads=1).text


def picture() -> str:
    from trifold_diffusion import Diffusion

    with Diffusion("demo:picture", threads=1) as diffusion:
        drawn = diffusion.generate("a red circle", width=64, height=64, steps=2, seed=1)
    return hashlib.sha256(drawn.rgb8).hexdigest()


if __name__ == "__main__":
    main(sys.argv[1:])
