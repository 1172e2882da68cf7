"""Speak sentences with eSpeak NG (through its C library) in many voices, at 16 kHz.

    python synth.py --out work/audio --count 120000 --procs 16

Needs Debian's libespeak-ng1 and espeak-ng-data (or ESPEAK_LIB and ESPEAK_DATA_PATH for other places).
"""

import argparse
import ctypes
import json
import multiprocessing as mp
import os
import random
import wave
from pathlib import Path

import numpy as np
from scipy.fft import next_fast_len
from scipy.signal import resample

import grammar

RATE = 16_000
ACCENTS = ["en-US", "en-US", "en", "en", "en-GB-x-rp", "en-GB-scotland", "en-GB-x-gbclan", "en-GB-x-gbcwmd", "en-US-nyc", "en-029"]
VARIANTS = ["", *grammar.words(
    "f1,f2,f3,f5,m1,m2,m3,m4,m5,m7,m8,Alex,Andrea,Annie,Denis,Gene,Lee,Marco,Mario,Michael,Mike,adam,anika,announcer,antonio,aunty,belinda,"
    "benjamin,boris,caleb,david,ed,edward,grandma,grandpa,gustave,iven,iven3,john,klatt,klatt2,klatt4,klatt5,linda,marcelo,max,michel,miguel,"
    "norbert,pablo,paul,pedro,quincy,rob,robert,sandro,shelby,steph,steph2,travis,victor,zac,croak,whisper"
)]
TEST_VARIANTS = grammar.words("f4,m6,Alicia,Andy,Hugo,klatt3")  # voices that training never hears


class Speaker:
    def __init__(self):
        self.lib = ctypes.CDLL(os.environ.get("ESPEAK_LIB", "libespeak-ng.so.1"))
        data = os.environ.get("ESPEAK_DATA_PATH")
        self.rate = self.lib.espeak_Initialize(2, 0, data.encode() if data else None, 0)  # 2: hand the sound to a callback
        if self.rate <= 0:
            raise RuntimeError("cannot start eSpeak NG")
        self.parts = []
        proto = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)
        self.callback = proto(self._take)  # kept alive as long as the speaker
        self.lib.espeak_SetSynthCallback(self.callback)

    def _take(self, wav, count, _events):
        if wav and count > 0:
            self.parts.append(ctypes.string_at(wav, 2 * count))
        return 0

    def say(self, text, voice, speed=170, pitch=50, span=50, gap=0):
        self.parts.clear()
        if self.lib.espeak_SetVoiceByName(voice.encode()) != 0:
            raise ValueError(f"no voice {voice}")
        for key, value in ((1, speed), (3, pitch), (4, span), (7, gap)):
            self.lib.espeak_SetParameter(key, value, 0)
        raw = text.encode()
        self.lib.espeak_Synth(raw, len(raw) + 1, 0, 1, 0, 1, None, None)
        return np.frombuffer(b"".join(self.parts), np.int16)


def trim(x):
    """Cut the silence at both ends, so that the first and the last sample are the true times of the speech."""
    size = RATE // 100
    frames = x[: len(x) // size * size].reshape(-1, size)
    loud = np.flatnonzero(np.abs(frames).max(1) > 0.02 * np.abs(x).max())
    return x[loud[0] * size : (loud[-1] + 1) * size]


def utterance(speaker, text, rng, test=False):
    """A random voice says the text: int16 samples at 16 kHz."""
    variant = rng.choice(TEST_VARIANTS if test else VARIANTS)
    voice = f"gmw/{rng.choice(ACCENTS)}" + (f"+{variant}" if variant else "")
    x = speaker.say(text, voice, rng.randint(125, 215), rng.randint(20, 85), rng.randint(20, 90), rng.choice((0, 0, 0, 1, 3, 6)))
    # A slightly wrong rate changes the size of the speaker's head, so to say.
    scale = 1.0 if rng.random() < 0.4 else rng.uniform(0.88, 1.12)
    size = next_fast_len(len(x), real=True)
    y = resample(np.pad(x.astype(np.float32), (0, size - len(x))), next_fast_len(int(size * RATE / (speaker.rate * scale)), real=True))
    y = trim(y)
    return (y * (0.8 * 32767 / max(1.0, np.abs(y).max()))).astype(np.int16)


def shard(job):
    seed, count, test = job
    rng = random.Random(seed)
    speaker = Speaker()
    texts, sounds = [], []
    while len(texts) < count:
        text, held_out = grammar.sentence(rng)
        if test is None and held_out or test == "new" and (not held_out or text in texts):
            continue
        sound = utterance(speaker, text, rng, test="voice" == test)
        if RATE // 5 < len(sound) < 10 * RATE:
            texts.append(text)
            sounds.append(sound)
    return texts, sounds


def write(path, parts):
    texts = [t for part in parts for t in part[0]]
    sounds = [s for part in parts for s in part[1]]
    path.mkdir(parents=True, exist_ok=True)
    np.save(path / "samples.npy", np.concatenate(sounds))
    np.save(path / "starts.npy", np.concatenate([[0], np.cumsum([len(s) for s in sounds])]).astype(np.int64))
    (path / "texts.json").write_text(json.dumps(texts))
    print(f"{path}: {len(texts)} utterances, {sum(map(len, sounds)) / RATE / 3600:.2f} h, {len(set(texts))} different sentences", flush=True)


SAMPLES = {
    "kitchen-light": ("gmw/en-US+m3", ["Turn on the kitchen light."]),
    "time-in-london": ("gmw/en-GB-x-rp+f2", ["What time is it in London?"]),
    "draw-a-house": ("gmw/en-US+f3", ["Draw a red house on a blue background."]),
    "draw-a-red-circle": ("gmw/en-US+f3", ["Draw a red circle on a blue background."]),
    "story-about-a-dog": ("gmw/en-GB-x-rp+f2", ["Tell me a story about a little dog."]),
    "two-sentences": ("gmw/en+m1", ["Tell me a story about a hungry duck.", "Play the next song, please."]),
}


def write_samples(folder):
    """A few recordings with their true words and times."""
    folder.mkdir(parents=True, exist_ok=True)
    speaker, truth = Speaker(), {}
    for name, (voice, lines) in SAMPLES.items():
        parts, segments, at = [np.zeros(RATE // 5, np.int16)], [], RATE // 5
        for line in lines:
            x = speaker.say(line, voice, 175).astype(np.float32)
            y = trim(resample(x, int(len(x) * RATE / speaker.rate)))
            y = (y * (0.6 * 32767 / np.abs(y).max())).astype(np.int16)
            segments.append({"start": round(at / RATE, 2), "end": round((at + len(y)) / RATE, 2), "text": line})
            parts += [y, np.zeros(RATE * 2 // 5, np.int16)]
            at += len(y) + RATE * 2 // 5
        with wave.open(str(folder / f"{name}.wav"), "wb") as f:
            f.setnchannels(1)
            f.setsampwidth(2)
            f.setframerate(RATE)
            f.writeframes(np.concatenate(parts).astype("<i2").tobytes())
        truth[f"{name}.wav"] = {"text": " ".join(lines), "segments": segments}
    (folder / "transcripts.json").write_text(json.dumps(truth, indent=2) + "\n")


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("--out", type=Path, default=Path("work/audio"))
    ap.add_argument("--count", type=int, default=120_000, help="training utterances; 0: only the test sets")
    ap.add_argument("--procs", type=int, default=mp.cpu_count())
    ap.add_argument("--seed", type=int, default=0)
    ap.add_argument("--samples", type=Path, help="only write the sample recordings into this folder")
    args = ap.parse_args()
    if args.samples:
        return write_samples(args.samples)
    jobs = 8 * args.procs
    with mp.Pool(args.procs) as pool:
        if args.count:
            write(args.out / "train", pool.map(shard, [(args.seed * 1_000_000 + i, args.count // jobs, None) for i in range(jobs)], chunksize=1))
        # Two test sets of 400: sentences that training never saw, and voices that it never heard.
        write(args.out / "new-sentences", pool.map(shard, [(900_001 + i, 50, "new") for i in range(8)], chunksize=1))
        write(args.out / "new-voices", pool.map(shard, [(900_101 + i, 50, "voice") for i in range(8)], chunksize=1))


if __name__ == "__main__":
    main()
