"""Measure an exported model with whisper.cpp (through the pywhispercpp package).

    python verify.py --model trifold-speech.bin --audio work/audio --count 200
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np
from pywhispercpp.model import Model

import grammar

RATE = 16_000
# clean; then noise at the given signal-to-noise ratio in dB
NOISES = (None, 20, 10)


def load(path, count):
    samples, starts = np.load(path / "samples.npy", mmap_mode="r"), np.load(path / "starts.npy")
    texts = json.loads((path / "texts.json").read_text())
    order = np.random.default_rng(1).permutation(len(texts))[:count]
    return [(texts[i], np.asarray(samples[starts[i] : starts[i + 1]], np.float32) / 32768) for i in order]


def add_noise(x, snr, rng):
    if snr is None:
        return x
    level = np.sqrt(np.square(x[x != 0]).mean()) * 10 ** (-snr / 20)
    return (x + rng.normal(0, level, len(x))).astype(np.float32)


class Listener:
    def __init__(self, path, threads, **context):
        self.model = Model(str(path), redirect_whispercpp_logs_to=None, context_params=context or None, print_progress=False, n_threads=threads, language="en")

    def __call__(self, x, **params):
        defaults = {"no_timestamps": False, "language": "en", "initial_prompt": "", "audio_ctx": 0, "translate": False}
        return self.model.transcribe(np.ascontiguousarray(x, np.float32), **{**defaults, **params})


def score(listener, items, snr, **params):
    rng = np.random.default_rng(2)
    wrong = total = exact = 0
    starts, ends = [], []
    clock = time.time()
    for text, sound in items:
        before = int(RATE * rng.uniform(0.1, 0.9))
        x = np.concatenate([np.zeros(before), sound, np.zeros(int(RATE * rng.uniform(0.2, 1.0)))])
        found = listener(add_noise(x, snr, rng), **params)
        want, got = grammar.normalise(text), grammar.normalise(" ".join(s.text for s in found))
        errors = grammar.edits(want, got)
        wrong, total, exact = wrong + errors, total + len(want), exact + (errors == 0)
        if found and not params.get("no_timestamps"):
            starts.append(abs(found[0].t0 / 100 - before / RATE))
            ends.append(abs(found[-1].t1 / 100 - (before + len(sound)) / RATE))
    line = f"WER {wrong / total:.2%}, {exact / len(items):.1%} of sentences right, {(time.time() - clock) / len(items) * 1000:.0f} ms each"
    if starts:
        line += f"; starts off by {np.mean(starts):.3f} s (95%: {np.quantile(starts, 0.95):.2f}), ends by {np.mean(ends):.3f} s (95%: {np.quantile(ends, 0.95):.2f})"
    return line


def long_recording(items, rng):
    parts, spans, at = [], [], 0
    for _, sound in items:
        gap = int(RATE * rng.uniform(0.3, 1.2))
        parts += [np.zeros(gap), sound]
        spans.append(((at + gap) / RATE, (at + gap + len(sound)) / RATE))
        at += gap + len(sound)
    return np.concatenate(parts + [np.zeros(RATE // 2)]).astype(np.float32), spans


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("--model", type=Path, default=Path("trifold-speech.bin"))
    ap.add_argument("--audio", type=Path, default=Path("work/audio"))
    ap.add_argument("--count", type=int, default=200)
    ap.add_argument("--threads", type=int, default=2)
    args = ap.parse_args()
    listener = Listener(args.model, args.threads)
    sets = {name: load(args.audio / name, args.count) for name in ("new-sentences", "new-voices")}
    for name, items in sets.items():
        for snr in NOISES:
            label = f"{name}, {'clean' if snr is None else f'white noise at {snr} dB'}"
            print(f"{label}, with times: {score(listener, items, snr)}", flush=True)
            if snr is None:
                print(f"{label}, no times: {score(listener, items, snr, no_timestamps=True)}", flush=True)

    items = sets["new-sentences"]
    few = items[: args.count // 4]
    print(f"short window (audio_ctx 512), clean: {score(listener, few, None, audio_ctx=512)}")
    print(f"other language given (de), clean: {score(listener, few, None, language='de')}")
    print(f"task translate, clean: {score(listener, few, None, translate=True)}")
    print(f"initial prompt, clean: {score(listener, few, None, initial_prompt='Turn on the light. The black cat is in the garden.')}")
    print(f"no flash attention, clean: {score(Listener(args.model, args.threads, flash_attn=False), few, None)}")

    rng = np.random.default_rng(4)
    wrong = total = nothing = 0
    for text, sound in few:
        found = listener(np.concatenate([np.zeros(int(RATE * rng.uniform(2, 26))), sound, np.zeros(RATE // 2)]))
        want = grammar.normalise(text)
        wrong, total, nothing = wrong + grammar.edits(want, grammar.normalise(" ".join(s.text for s in found))), total + len(want), nothing + (not found)
    print(f"after 2 to 26 s of silence: WER {wrong / total:.2%}, nothing found in {nothing} of {len(few)}")

    rng = np.random.default_rng(3)
    wrong = total = segments = sentences = 0
    off = []
    for lo in range(0, min(args.count, 96), 24):
        group = items[lo : lo + 24]
        x, spans = long_recording(group, rng)
        found = listener(x)
        want = [v for text, _ in group for v in grammar.normalise(text)]
        wrong += grammar.edits(want, grammar.normalise(" ".join(s.text for s in found)))
        total += len(want)
        segments, sentences = segments + len(found), sentences + len(group)
        off += [min(abs(s.t0 / 100 - a) for a, _ in spans) for s in found]
    print(f"long recordings ({len(x) / RATE:.0f} s and the like, 24 sentences each): WER {wrong / total:.2%}, {segments} segments for {sentences} sentences, segment starts off by {np.median(off):.3f} s (median)")

    quiet = heard = 0
    for k in range(40):
        x = rng.normal(0, 10 ** -rng.uniform(1.3, 4), int(RATE * rng.uniform(1, 12))) if k % 4 else np.zeros(RATE * (1 + k // 4))
        for flag in (False, True):
            quiet += 1
            heard += bool("".join(s.text for s in listener(x.astype(np.float32), no_timestamps=flag)).strip())
    print(f"silence and noise: text in {heard} of {quiet} runs")
    auto = [listener.model.auto_detect_language(sound)[0][0] for _, sound in few[:20]]
    print(f"language found for {auto.count('en')} of {len(auto)}: en")
    for text, sound in items[:8]:
        x = np.concatenate([np.zeros(RATE // 2), sound, np.zeros(RATE // 2)])
        print(f"  {text!r} ({0.5:.2f} to {0.5 + len(sound) / RATE:.2f}) -> {[(s.t0 / 100, s.t1 / 100, s.text) for s in listener(x)]}")


if __name__ == "__main__":
    main()
