"""How long after Ctrl-C a call of the Python packages raises KeyboardInterrupt.

    python bench/interrupts.py [repeats]

For each kind of call a child process presses Ctrl-C at random moments of it, and writes down how long it
took until the exception came; a line for each kind is printed: how many were pressed while the call ran, the
median and the longest, in milliseconds. Needs the three packages and the demo models.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys

#: Name: (code to set up, the call, the moments to press at: from and to, in seconds).
CALLS = {
    "whisper: load": (
        "import trifold_whisper as tw",
        "tw.Whisper('demo:speech')",
        (0.0, 0.05),
    ),
    "whisper: spectrogram of 20 min": (
        "import trifold_whisper as tw; w = tw.Whisper('demo:speech'); x = speech(1200)",
        "w.transcribe(x, language='en')",
        (0.05, 1.2),
    ),
    "whisper: transcribe": (
        "import trifold_whisper as tw; w = tw.Whisper('demo:speech'); x = speech(120)",
        "w.transcribe(x, language='en')",
        (0.3, 1.2),
    ),
    "whisper: transcribe, beam search": (
        "import trifold_whisper as tw; w = tw.Whisper('demo:speech'); x = speech(120)",
        "w.transcribe(x, language='en', beam_size=5)",
        (0.3, 2.0),
    ),
    "whisper: detect_language": (
        "import trifold_whisper as tw; w = tw.Whisper('demo:speech'); x = speech(30)",
        "w.detect_language(x)",
        (0.0, 0.1),
    ),
    "whisper: load_audio, 1 h": (
        "import trifold_whisper as tw; p = wav(3600)",
        "tw.load_audio(p)",
        (0.0, 1.0),
    ),
    "llama: load": (
        "import trifold_llama as tl",
        "tl.Llama('demo:story')",
        (0.0, 0.05),
    ),
    "llama: prompt of 8k tokens": (
        "import trifold_llama as tl; m = tl.Llama('demo:story', n_ctx=8192)",
        "m.generate(' river' * 8000, max_tokens=8)",
        (0.0, 3.0),
    ),
    "llama: generate": (
        "import trifold_llama as tl; m = tl.Llama('demo:story')",
        "m.generate('Once upon a time', max_tokens=900, temperature=1.0)",
        (0.0, 0.5),
    ),
    "llama: embed, many texts, n_ctx 16384": (
        "import trifold_llama as tl; m = tl.Llama('demo:story', n_ctx=16384); m.embed(['a'])",
        "m.embed([' river' * 500] * 64)",
        (0.0, 3.0),
    ),
    "llama: embed, one text of 16k tokens": (
        "import trifold_llama as tl; m = tl.Llama('demo:story', n_ctx=16384); m.embed(['a'])",
        "m.embed([' river' * 16000])",
        (0.0, 3.0),
    ),
    "llama: tokenize 4 MB": (
        "import trifold_llama as tl; m = tl.Llama('demo:story'); t = 'Once upon a time. ' * 230_000",
        "m.tokenize(t)",
        (0.0, 0.5),
    ),
    "diffusion: load": (
        "import trifold_diffusion as td",
        "td.Diffusion('demo:picture')",
        (0.0, 0.05),
    ),
    "diffusion: first picture": (
        "import trifold_diffusion as td",
        "td.Diffusion('demo:picture').generate('a red circle', steps=1)",
        (0.0, 0.3),
    ),
    "diffusion: generate, 512 x 512": (
        "import trifold_diffusion as td; m = td.Diffusion('demo:picture'); m.generate('a', steps=1)",
        "m.generate('a red circle', width=512, height=512, steps=8)",
        (0.0, 5.0),
    ),
    "diffusion: VAE decode, 1024 x 1024": (
        "import trifold_diffusion as td; m = td.Diffusion('demo:picture'); m.generate('a', steps=1)",
        "m.generate('a red circle', width=1024, height=1024, steps=1)",
        (1.0, 8.0),
    ),
}

CHILD = """
import json, os, signal, sys, threading, time
import numpy as np

def speech(seconds):
    rng = np.random.default_rng(1)
    return (0.1 * rng.standard_normal(seconds * 16000)).astype(np.float32)

def wav(seconds):
    import tempfile, wave
    path = os.path.join(tempfile.gettempdir(), f"interrupts-{seconds}.wav")
    with wave.open(path, "wb") as file:
        file.setnchannels(2), file.setsampwidth(2), file.setframerate(44100)
        minute = (np.random.default_rng(1).standard_normal(44100 * 120) * 3000).astype("<i2").tobytes()
        for _ in range(seconds // 60):
            file.writeframes(minute)
    return path

setup, call, moments = json.load(sys.stdin)
names = globals()
exec(setup, names)
code = compile(call, "call", "eval")
pressed = 0.0

def press():
    global pressed
    pressed = time.perf_counter()
    os.kill(os.getpid(), signal.SIGINT)

for moment in moments:
    timer = threading.Timer(moment, press)
    pressed = 0.0
    try:
        timer.start()
        eval(code, names)
        ended = time.perf_counter()
        timer.cancel()
        timer.join()
        time.sleep(0.01)
        print(json.dumps(None), flush=True)
    except KeyboardInterrupt:
        print(json.dumps(time.perf_counter() - pressed), flush=True)
    timer.join()
"""


def main(repeats: int) -> None:
    """Measures every kind of call."""
    chosen = random.Random(1)
    print(f"{'call':40} {'pressed':>7} {'median':>7} {'longest':>7}  ms")
    for name, (setup, call, (first, last)) in CALLS.items():
        moments = [chosen.uniform(first, last) for _ in range(repeats)]
        child = subprocess.run(
            [sys.executable, "-c", CHILD],
            input=json.dumps([setup, call, moments]),
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
        found = [json.loads(line) for line in child.stdout.splitlines()]
        delays = sorted(1000 * delay for delay in found if delay is not None)
        if delays:
            print(f"{name:40} {len(delays):7} {delays[len(delays) // 2]:7.1f} {delays[-1]:7.1f}", flush=True)
        else:
            print(f"{name:40} {0:7}", flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 20)
