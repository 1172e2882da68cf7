"""Asks the engines of the interpreter that runs this; whoever includes it calls ``ask``."""

import hashlib
import importlib


def text(module):
    llm = module.Llama("demo:story", threads=1)
    return llm, list(llm.generate("Once upon a time", max_tokens=24, temperature=0).tokens)


def speech(module):
    from pathlib import Path

    import trifold_demo_models

    sample = Path(trifold_demo_models.__file__).parent / "samples" / "draw-a-red-circle.wav"
    whisper = module.Whisper("demo:speech")
    return whisper, whisper.transcribe(sample, threads=1).text


def picture(module):
    diffusion = module.Diffusion("demo:picture", threads=1)
    drawn = diffusion.generate("a red circle", width=64, height=64, steps=2, seed=1)
    return diffusion, hashlib.sha256(drawn.rgb8).hexdigest()


JOBS = {"llama": text, "whisper": speech, "diffusion": picture}


def resident():
    """Bytes of this process that are in memory."""
    with open("/proc/self/status") as status:
        line = next(line for line in status if line.startswith("VmRSS:"))
    return int(line.split()[1]) * 1024


def ask(question, engines):
    modules = {name: importlib.import_module(f"trifold_{name}") for name in engines}
    if question == "versions":
        return {name: dict(module.versions())["ggml"] for name, module in modules.items()}
    # Kept, so that all models are in memory at the end.
    done = {name: JOBS[name](module) for name, module in modules.items()}
    if question == "resident":
        return resident()
    return {name: answer for name, (_, answer) in done.items()}
