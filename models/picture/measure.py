"""Counts how often the engine's pictures show what simple prompts ask for.

    SD_LIBRARY=path/to/libstable-diffusion.so python3 measure.py trifold-picture.gguf

Only things that can be measured without judgement: the colour of a shape and of its
background, which of two colours is left or above, and the number of separate blobs.
"""

import random
import sys

import numpy as np

import engine
from scenes import COLOURS

NAMES = list(COLOURS)
TABLE = np.array([COLOURS[n] for n in NAMES], np.float32)


def names(img):
    """The nearest colour name of every pixel, as a number."""
    return np.abs(img[..., None, :].astype(np.float32) - TABLE).sum(-1).argmin(-1)


def most(part):
    return NAMES[np.bincount(part.ravel(), minlength=len(NAMES)).argmax()]


def blobs(mask, least=40):
    mask, count = mask.copy(), 0
    for y, x in zip(*np.nonzero(mask)):
        if not mask[y, x]:
            continue
        stack, size = [(y, x)], 0
        mask[y, x] = False
        while stack:
            a, b = stack.pop()
            size += 1
            for c, d in ((a + 1, b), (a - 1, b), (a, b + 1), (a, b - 1)):
                if 0 <= c < len(mask) and 0 <= d < len(mask) and mask[c, d]:
                    mask[c, d] = False
                    stack.append((c, d))
        count += size >= least
    return count


def main(path, n=40, **how):
    e, rng = engine.Engine(path), random.Random(5)
    score, took = {}, []

    def draw(text):
        img = e.draw(text, seed=rng.randrange(10 ** 6), **how)
        took.append(e.seconds)
        return names(img)

    def note(what, right):
        good, all_ = score.get(what, (0, 0))
        score[what] = good + bool(right), all_ + 1

    plain = [c for c in NAMES if c not in ("gray", "cyan")]
    for _ in range(n):
        a, b = rng.sample(plain, 2)
        shape = rng.choice(["circle", "square", "triangle", "star", "heart", "diamond", "hexagon"])
        img = draw(f"a {a} {shape} on a {b} background")
        note("colour of the shape", most(img[56:76, 58:70]) == a)
        note("colour of the background", most(np.concatenate([img[:8], img[-8:]])) == b)
    for _ in range(n):
        a, b = rng.sample([c for c in plain if c != "white"], 2)
        s, t = rng.sample(["circle", "square", "triangle", "star", "heart", "diamond"], 2)
        across = rng.random() < 0.5
        relation = "to the left of" if across else "above"
        img = draw(f"a {a} {s} {relation} a {b} {t} on a white background")
        if not across:
            img = img.T
        where = [np.nonzero(img == NAMES.index(c))[1] for c in (a, b)]
        both = all(len(w) > 100 for w in where)
        note("both colours there", both)
        note("left of / above", both and where[0].mean() < where[1].mean())
    words = {2: "two", 3: "three", 4: "four", 5: "five", 6: "six"}
    for _ in range(n):
        k, a = rng.choice(list(words)), rng.choice([c for c in plain if c != "white"])
        shape = rng.choice(["circles", "squares", "triangles", "stars", "hearts"])
        img = draw(f"{words[k]} {a} {shape} on a white background")
        note("number of things (2 to 6)", blobs(img == NAMES.index(a)) == k)
    for what, (good, all_) in score.items():
        print(f"{what:<28} {good:3} of {all_:3}")
    print(f"seconds for a picture: median {np.median(took):.2f}")


if __name__ == "__main__":
    main(sys.argv[1], steps=12, cfg=2.5, method=engine.LCM)
