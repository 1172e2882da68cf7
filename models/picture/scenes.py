"""Procedurally drawn pictures with matching captions: the only training data.

Every picture is drawn from scratch with plain polygons and ellipses; nothing is
downloaded.  `sample(rng)` returns (caption, PIL image).  What a caption does not
mention is random, so the model learns that it is free to choose it.

    python3 scenes.py sheet.png        # a look at 48 samples
"""

import math
import random
import sys

import numpy as np
from PIL import Image, ImageDraw

SIZE = 128          # pixels of the finished picture
SCALE = 3           # drawn larger, then averaged down: smooth edges

COLOURS = {
    "red": (222, 42, 42), "green": (52, 160, 64), "blue": (44, 92, 214),
    "yellow": (250, 216, 52), "orange": (246, 138, 36), "purple": (132, 62, 184),
    "pink": (250, 150, 192), "brown": (132, 82, 46), "black": (28, 28, 32),
    "white": (250, 250, 250), "gray": (136, 138, 142), "cyan": (66, 208, 220),
}
NAMES = list(COLOURS)
OTHER_NAME = {"gray": ["grey"], "purple": ["violet"]}
SHADED = ["red", "green", "blue", "gray", "purple", "orange", "pink", "brown"]


def clamp(v):
    return int(max(0, min(255, v)))


def mix(a, b, t):
    return tuple(clamp(x + (y - x) * t) for x, y in zip(a, b))


def darker(c, t=0.3):
    return mix(c, (0, 0, 0), t)


def lighter(c, t=0.4):
    return mix(c, (255, 255, 255), t)


def jitter(rng, c, amount=9):
    return tuple(clamp(v + rng.uniform(-amount, amount)) for v in c)


def apart(a, b):
    return sum(abs(x - y) for x, y in zip(a, b)) > 110


def any_colour(rng, *others):
    """(words, rgb) of a colour that differs visibly from the colours in `others`."""
    while True:
        name = rng.choice(NAMES)
        rgb, words = COLOURS[name], rng.choice([name] * 4 + OTHER_NAME.get(name, []))
        if name in SHADED and rng.random() < 0.14:
            if rng.random() < 0.5:
                rgb, words = darker(rgb, 0.45), "dark " + words
            else:
                rgb, words = lighter(rgb, 0.5), "light " + words
        rgb = jitter(rng, rgb)
        if all(apart(rgb, o) for o in others):
            return words, rgb


class Pad:
    """A square canvas in unit coordinates: x to the right, y down, 0..1."""

    def __init__(self, background):
        self.n = SIZE * SCALE
        if isinstance(background, Image.Image):
            self.image = background
        else:
            self.image = Image.new("RGB", (self.n, self.n), background)
        self.d = ImageDraw.Draw(self.image)

    def poly(self, points, col):
        self.d.polygon([(x * self.n, y * self.n) for x, y in points], fill=col)

    def oval(self, x, y, rx, ry, col):
        n = self.n
        self.d.ellipse([(x - rx) * n, (y - ry) * n, (x + rx) * n, (y + ry) * n], fill=col)

    def disc(self, x, y, r, col):
        self.oval(x, y, r, r, col)

    def box(self, x0, y0, x1, y1, col):
        n = self.n
        self.d.rectangle([x0 * n, y0 * n, x1 * n, y1 * n], fill=col)

    def line(self, points, w, col):
        n = self.n
        self.d.line([(x * n, y * n) for x, y in points], fill=col,
                    width=max(1, int(w * n)), joint="curve")

    def half(self, x, y, rx, ry, a, b, col):
        n = self.n
        self.d.pieslice([(x - rx) * n, (y - ry) * n, (x + rx) * n, (y + ry) * n], a, b, fill=col)

    def arc(self, x, y, rx, ry, a, b, w, col):
        n = self.n
        self.d.arc([(x - rx) * n, (y - ry) * n, (x + rx) * n, (y + ry) * n], a, b,
                   fill=col, width=max(1, int(w * n)))

    def finish(self):
        return self.image.reduce(SCALE)


def around(x, y, r, n, start=-90.0, ratio=1.0):
    """n points on a circle; with ratio < 1 every second one is pulled inwards."""
    pts = []
    for i in range(n):
        a = math.radians(start + 360.0 * i / n)
        k = r * (ratio if i % 2 else 1.0)
        pts.append((x + k * math.cos(a), y + k * math.sin(a)))
    return pts


# --- things --------------------------------------------------------------------
# each: draw(pad, x, y, r, colour): fits about into the circle of radius r

BLACK, WHITE, YELLOW = (28, 28, 32), (250, 250, 250), (250, 216, 52)
BROWN, GREEN, SKY = (120, 74, 42), (58, 150, 66), (150, 205, 240)


def circle(p, x, y, r, c): p.disc(x, y, r * 0.95, c)
def square(p, x, y, r, c): p.box(x - r * .8, y - r * .8, x + r * .8, y + r * .8, c)
def triangle(p, x, y, r, c): p.poly([(x, y - r), (x + r, y + r * .8), (x - r, y + r * .8)], c)
def star(p, x, y, r, c): p.poly(around(x, y, r * 1.05, 10, ratio=0.42), c)
def diamond(p, x, y, r, c): p.poly([(x, y - r), (x + r * .68, y), (x, y + r), (x - r * .68, y)], c)
def hexagon(p, x, y, r, c): p.poly(around(x, y, r, 6, 0), c)
def oval(p, x, y, r, c): p.oval(x, y, r * 1.05, r * .6, c)
def rectangle(p, x, y, r, c): p.box(x - r * 1.05, y - r * .5, x + r * 1.05, y + r * .5, c)
def ring(p, x, y, r, c): p.arc(x, y, r * .95, r * .95, 0, 360, r * .3, c)


def heart(p, x, y, r, c):
    pts = []
    for i in range(40):
        t = 2 * math.pi * i / 40
        pts.append((x + r * .06 * 16 * math.sin(t) ** 3,
                    y - r * .06 * (13 * math.cos(t) - 5 * math.cos(2 * t) - 2 * math.cos(3 * t) - math.cos(4 * t))))
    p.poly(pts, c)


def cross(p, x, y, r, c):
    p.box(x - r * .3, y - r * .9, x + r * .3, y + r * .9, c)
    p.box(x - r * .9, y - r * .3, x + r * .9, y + r * .3, c)


def arrow(p, x, y, r, c):
    p.box(x - r, y - r * .25, x + r * .2, y + r * .25, c)
    p.poly([(x + r * .15, y - r * .7), (x + r, y), (x + r * .15, y + r * .7)], c)


def house(p, x, y, r, c):
    p.box(x - r * .75, y - r * .1, x + r * .75, y + r * .95, c)
    roof = (150, 60, 50) if apart(c, (150, 60, 50)) else (80, 70, 80)
    p.poly([(x, y - r), (x + r, y - r * .05), (x - r, y - r * .05)], roof)
    p.box(x - r * .16, y + r * .4, x + r * .18, y + r * .95, darker(roof, .4))
    for s in (-.5, .5):
        p.box(x + (s - .15) * r, y + r * .12, x + (s + .15) * r, y + r * .42, (255, 240, 170))


def tree(p, x, y, r, c):
    p.box(x - r * .12, y + r * .1, x + r * .12, y + r, BROWN)
    p.disc(x - r * .38, y - r * .1, r * .45, c)
    p.disc(x + r * .38, y - r * .1, r * .45, c)
    p.disc(x, y - r * .45, r * .55, c)


def pine(p, x, y, r, c):
    p.box(x - r * .1, y + r * .6, x + r * .1, y + r, BROWN)
    for k in range(3):
        top = y - r + k * r * .5
        w = r * (.42 + .17 * k)
        p.poly([(x, top), (x + w, top + r * .72), (x - w, top + r * .72)], c)


def palm(p, x, y, r, c):
    p.line([(x - r * .1, y + r), (x, y + r * .3), (x + r * .12, y - r * .4)], r * .16, BROWN)
    for a in (-170, -130, -60, -10, 25, 155):
        t = math.radians(a)
        ex, ey = x + r * .12 + r * .85 * math.cos(t), y - r * .4 + r * .55 * math.sin(t)
        mx, my = x + r * .12 + r * .5 * math.cos(t), y - r * .58 + r * .4 * math.sin(t)
        p.poly([(x + r * .12, y - r * .5), (mx, my - r * .1), (ex, ey), (mx, my + r * .12)], c)


def flower(p, x, y, r, c):
    p.line([(x, y - r * .2), (x, y + r)], r * .1, GREEN)
    p.oval(x + r * .28, y + r * .6, r * .28, r * .12, GREEN)
    for px, py in around(x, y - r * .35, r * .38, 6):
        p.disc(px, py, r * .27, c)
    p.disc(x, y - r * .35, r * .24, YELLOW if apart(c, YELLOW) else (240, 130, 40))


def car(p, x, y, r, c):
    p.poly([(x - r * .55, y), (x - r * .32, y - r * .45), (x + r * .35, y - r * .45), (x + r * .62, y)], c)
    p.box(x - r, y - r * .05, x + r, y + r * .4, c)
    p.poly([(x - r * .4, y), (x - r * .25, y - r * .34), (x, y - r * .34), (x, y)], SKY)
    p.poly([(x + r * .08, y), (x + r * .08, y - r * .34), (x + r * .28, y - r * .34), (x + r * .45, y)], SKY)
    for s in (-.55, .55):
        p.disc(x + s * r, y + r * .42, r * .24, BLACK)
        p.disc(x + s * r, y + r * .42, r * .1, (190, 190, 190))


def boat(p, x, y, r, c):
    p.line([(x, y + r * .4), (x, y - r)], r * .08, BROWN)
    p.poly([(x + r * .08, y - r * .95), (x + r * .75, y + r * .25), (x + r * .08, y + r * .25)], WHITE)
    p.poly([(x - r * .08, y - r * .7), (x - r * .6, y + r * .25), (x - r * .08, y + r * .25)], (235, 228, 210))
    p.poly([(x - r, y + r * .38), (x + r, y + r * .38), (x + r * .62, y + r * .85), (x - r * .62, y + r * .85)], c)


def fish(p, x, y, r, c):
    p.poly([(x + r * .45, y), (x + r * 1.02, y - r * .5), (x + r * 1.02, y + r * .5)], darker(c, .2))
    p.poly([(x - r * .2, y - r * .4), (x + r * .1, y - r * .75), (x + r * .3, y - r * .3)], darker(c, .2))
    p.oval(x - r * .15, y, r * .78, r * .5, c)
    p.disc(x - r * .55, y - r * .12, r * .14, WHITE)
    p.disc(x - r * .58, y - r * .12, r * .07, BLACK)


def balloon(p, x, y, r, c):
    p.line([(x, y + r * .35), (x + r * .08, y + r * .7), (x - r * .05, y + r)], r * .05, (110, 110, 110))
    p.poly([(x, y + r * .3), (x + r * .1, y + r * .48), (x - r * .1, y + r * .48)], c)
    p.oval(x, y - r * .3, r * .58, r * .7, c)
    p.oval(x - r * .2, y - r * .55, r * .12, r * .2, lighter(c, .6))


def airship(p, x, y, r, c):
    p.disc(x, y - r * .3, r * .7, c)
    p.oval(x, y - r * .3, r * .3, r * .7, lighter(c, .45))
    p.line([(x - r * .45, y + r * .2), (x - r * .18, y + r * .65)], r * .04, BROWN)
    p.line([(x + r * .45, y + r * .2), (x + r * .18, y + r * .65)], r * .04, BROWN)
    p.box(x - r * .2, y + r * .62, x + r * .2, y + r * .95, BROWN)


def mushroom(p, x, y, r, c):
    p.box(x - r * .25, y, x + r * .25, y + r * .85, (240, 228, 205))
    p.half(x, y + r * .15, r * .95, r * 1.0, 180, 360, c)
    spot = WHITE if apart(c, WHITE) else (220, 70, 60)
    for dx, dy, k in ((-.45, -.15, .13), (.05, -.5, .16), (.5, -.12, .13)):
        p.disc(x + dx * r, y + dy * r, k * r, spot)


def apple(p, x, y, r, c):
    p.line([(x, y - r * .4), (x + r * .08, y - r * .9)], r * .1, BROWN)
    p.oval(x + r * .32, y - r * .72, r * .26, r * .13, GREEN)
    p.disc(x - r * .3, y + r * .12, r * .6, c)
    p.disc(x + r * .3, y + r * .12, r * .6, c)
    p.oval(x, y + r * .35, r * .6, r * .55, c)


def butterfly(p, x, y, r, c):
    for s in (-1, 1):
        p.oval(x + s * r * .5, y - r * .35, r * .48, r * .45, c)
        p.oval(x + s * r * .4, y + r * .42, r * .36, r * .38, darker(c, .2))
        p.disc(x + s * r * .52, y - r * .35, r * .18, lighter(c, .6))
        p.line([(x, y - r * .5), (x + s * r * .25, y - r * .95)], r * .05, BLACK)
    p.oval(x, y, r * .1, r * .65, BLACK)


def umbrella(p, x, y, r, c):
    p.line([(x, y - r * .9), (x, y + r * .75)], r * .09, BROWN)
    p.arc(x + r * .18, y + r * .72, r * .2, r * .2, 0, 180, r * .09, BROWN)
    p.half(x, y + r * .1, r, r * .95, 180, 360, c)
    p.half(x, y + r * .1, r * .36, r * .95, 180, 360, lighter(c, .35))


def cup(p, x, y, r, c):
    p.arc(x + r * .6, y + r * .05, r * .38, r * .38, 0, 360, r * .13, c)
    p.poly([(x - r * .7, y - r * .55), (x + r * .6, y - r * .55), (x + r * .48, y + r * .75), (x - r * .58, y + r * .75)], c)
    p.oval(x - r * .05, y - r * .55, r * .65, r * .16, darker(c, .35))


def rocket(p, x, y, r, c):
    p.poly([(x - r * .2, y + r * .55), (x, y + r * 1.05), (x + r * .2, y + r * .55)], (250, 150, 40))
    for s in (-1, 1):
        p.poly([(x + s * r * .3, y + r * .05), (x + s * r * .65, y + r * .7), (x + s * r * .2, y + r * .55)], darker(c, .35))
    p.poly([(x, y - r), (x + r * .32, y - r * .45), (x + r * .34, y + r * .58), (x - r * .34, y + r * .58), (x - r * .32, y - r * .45)], c)
    p.disc(x, y - r * .25, r * .19, WHITE)
    p.disc(x, y - r * .25, r * .13, (90, 170, 230))


def happy(p, x, y, r, c):
    p.disc(x, y, r * .95, c)
    ink = BLACK if apart(c, BLACK) else WHITE
    for s in (-.35, .35):
        p.oval(x + s * r, y - r * .25, r * .11, r * .16, ink)
    p.arc(x, y + r * .05, r * .55, r * .5, 20, 160, r * .11, ink)


def sad(p, x, y, r, c):
    p.disc(x, y, r * .95, c)
    ink = BLACK if apart(c, BLACK) else WHITE
    for s in (-.35, .35):
        p.oval(x + s * r, y - r * .2, r * .11, r * .16, ink)
    p.arc(x, y + r * .75, r * .5, r * .45, 205, 335, r * .11, ink)


def eyes(p, x, y, r, c, gap=.34):
    ink = BLACK if apart(c, BLACK) else WHITE
    for s in (-gap, gap):
        p.disc(x + s * r, y, r * .11, ink)
    return ink


def cat(p, x, y, r, c):
    for s in (-1, 1):
        p.poly([(x + s * r * .25, y - r * .5), (x + s * r * .8, y - r), (x + s * r * .82, y - r * .1)], c)
        p.poly([(x + s * r * .42, y - r * .5), (x + s * r * .7, y - r * .78), (x + s * r * .7, y - r * .35)], (245, 170, 180))
    p.oval(x, y + r * .12, r * .85, r * .72, c)
    ink = eyes(p, x, y, r, c)
    p.poly([(x - r * .1, y + r * .22), (x + r * .1, y + r * .22), (x, y + r * .34)], (240, 120, 140))
    for s in (-1, 1):
        for k in (.2, .42):
            p.line([(x + s * r * .3, y + r * .34), (x + s * r * .95, y + r * k)], r * .035, ink)


def dog(p, x, y, r, c):
    p.oval(x, y, r * .72, r * .8, c)
    for s in (-1, 1):
        p.oval(x + s * r * .72, y - r * .02, r * .24, r * .58, darker(c, .35))
    p.oval(x, y + r * .4, r * .42, r * .34, lighter(c, .55))
    eyes(p, x, y - r * .2, r, c, .28)
    p.oval(x, y + r * .25, r * .17, r * .12, BLACK)
    p.oval(x, y + r * .66, r * .12, r * .16, (235, 110, 130))


def rabbit(p, x, y, r, c):
    for s in (-1, 1):
        p.oval(x + s * r * .32, y - r * .5, r * .2, r * .55, c)
        p.oval(x + s * r * .32, y - r * .5, r * .09, r * .4, (245, 175, 185))
    p.oval(x, y + r * .35, r * .66, r * .6, c)
    eyes(p, x, y + r * .22, r, c, .26)
    p.oval(x, y + r * .45, r * .09, r * .07, (240, 120, 140))


def bear(p, x, y, r, c):
    for s in (-1, 1):
        p.disc(x + s * r * .6, y - r * .55, r * .3, c)
        p.disc(x + s * r * .6, y - r * .55, r * .16, lighter(c, .45))
    p.disc(x, y + r * .05, r * .8, c)
    p.oval(x, y + r * .36, r * .36, r * .3, lighter(c, .55))
    eyes(p, x, y - r * .1, r, c, .3)
    p.oval(x, y + r * .24, r * .13, r * .1, BLACK)


def bird(p, x, y, r, c):
    p.poly([(x + r * .4, y), (x + r * 1.0, y - r * .3), (x + r * .95, y + r * .2)], darker(c, .25))
    p.oval(x, y + r * .12, r * .68, r * .48, c)
    p.disc(x - r * .5, y - r * .3, r * .36, c)
    p.poly([(x - r * .8, y - r * .38), (x - r * 1.1, y - r * .22), (x - r * .78, y - r * .12)], (246, 150, 40))
    p.disc(x - r * .55, y - r * .36, r * .08, BLACK if apart(c, BLACK) else WHITE)
    p.oval(x + r * .12, y + r * .08, r * .36, r * .22, darker(c, .3))


def penguin(p, x, y, r, c):
    p.oval(x, y + r * .1, r * .62, r * .85, (38, 42, 54))
    p.oval(x, y + r * .28, r * .42, r * .62, WHITE)
    p.disc(x, y - r * .45, r * .42, (38, 42, 54))
    for s in (-1, 1):
        p.disc(x + s * r * .16, y - r * .5, r * .1, WHITE)
        p.disc(x + s * r * .16, y - r * .5, r * .05, BLACK)
        p.oval(x + s * r * .28, y + r * .95, r * .22, r * .09, (246, 160, 40))
    p.poly([(x - r * .12, y - r * .38), (x + r * .12, y - r * .38), (x, y - r * .18)], (246, 160, 40))


def whale(p, x, y, r, c):
    p.poly([(x + r * .5, y + r * .2), (x + r * .8, y - r * .45), (x + r * 1.1, y - r * .35), (x + r * .85, y + r * .4)], c)
    p.half(x - r * .1, y + r * .1, r * .85, r * .65, 0, 360, c)
    p.half(x - r * .1, y + r * .12, r * .8, r * .6, 20, 160, lighter(c, .6))
    p.disc(x - r * .55, y - r * .02, r * .09, BLACK if apart(c, BLACK) else WHITE)
    for s in (-1, 1):
        p.arc(x - r * .2 + s * r * .18, y - r * .6, r * .18, r * .3, 180, 360, r * .07, SKY)


def snowman(p, x, y, r, c):
    p.disc(x, y + r * .5, r * .5, WHITE)
    p.disc(x, y - r * .15, r * .37, (244, 246, 250))
    p.disc(x, y - r * .62, r * .27, WHITE)
    p.box(x - r * .3, y - r * .84, x + r * .3, y - r * .78, BLACK)
    p.box(x - r * .18, y - r * 1.05, x + r * .18, y - r * .8, BLACK)
    for s in (-1, 1):
        p.disc(x + s * r * .1, y - r * .66, r * .04, BLACK)
        p.line([(x + s * r * .34, y - r * .2), (x + s * r * .8, y - r * .5)], r * .06, BROWN)
    p.poly([(x, y - r * .6), (x + r * .26, y - r * .55), (x, y - r * .52)], (246, 138, 36))
    for k in (-.2, 0, .4):
        p.disc(x, y + k * r, r * .045, BLACK)


def cactus(p, x, y, r, c):
    p.box(x - r * .18, y - r * .75, x + r * .18, y + r, c)
    p.disc(x, y - r * .75, r * .18, c)
    for s, k in ((-1, .1), (1, -.15)):
        p.box(x + min(s * r * .6, 0), y + (k + .0) * r, x + max(s * r * .6, 0), y + (k + .22) * r, c)
        p.box(x + s * r * .6 - r * .12, y + (k - .5) * r, x + s * r * .6 + r * .12, y + (k + .22) * r, c)
        p.disc(x + s * r * .6, y + (k - .5) * r, r * .12, c)


def kite(p, x, y, r, c):
    p.line([(x, y + r * .4), (x + r * .15, y + r * .7), (x - r * .05, y + r)], r * .05, (110, 110, 110))
    p.poly([(x, y - r), (x + r * .6, y - r * .3), (x, y + r * .5), (x - r * .6, y - r * .3)], c)
    p.poly([(x, y - r), (x, y + r * .5), (x - r * .6, y - r * .3)], lighter(c, .4))


def cloud(p, x, y, r, c):
    for dx, dy, k in ((-.55, .15, .38), (-.1, -.12, .5), (.45, .1, .42), (0, .22, .4)):
        p.disc(x + dx * r, y + dy * r, k * r, c)


def sun(p, x, y, r, c):
    for i in range(10):
        a = math.radians(36 * i)
        p.line([(x + r * .6 * math.cos(a), y + r * .6 * math.sin(a)), (x + r * math.cos(a), y + r * math.sin(a))], r * .12, c)
    p.disc(x, y, r * .62, c)


def moon(p, x, y, r, c):
    """A crescent: the outer circle, then back along a smaller one through its two tips."""
    turn, half = -25.0, 52.0
    tx, ty = math.cos(math.radians(half)), math.sin(math.radians(half))
    cut = .5
    inner, tip = math.hypot(tx - cut, ty), math.degrees(math.atan2(ty, tx - cut))
    pts = [(math.cos(math.radians(a)), math.sin(math.radians(a))) for a in np.linspace(half, 360 - half, 32)]
    pts += [(cut + inner * math.cos(math.radians(a)), inner * math.sin(math.radians(a))) for a in np.linspace(360 - tip, tip, 24)]
    u, v = math.cos(math.radians(turn)), math.sin(math.radians(turn))
    p.poly([(x + .95 * r * (a * u - b * v), y + .95 * r * (a * v + b * u)) for a, b in pts], c)


def planet(p, x, y, r, c):
    p.disc(x, y, r * .62, c)
    p.oval(x - r * .18, y - r * .2, r * .2, r * .12, lighter(c, .35))
    p.line([(x - r, y + r * .25), (x + r, y - r * .25)], r * .13, lighter(c, .6))


def robot(p, x, y, r, c):
    p.line([(x, y - r * .55), (x, y - r * .9)], r * .07, (90, 90, 95))
    p.disc(x, y - r * .92, r * .12, (222, 42, 42))
    for s in (-1, 1):
        p.box(x + s * r * .8 - r * .1, y - r * .1, x + s * r * .8 + r * .1, y + r * .3, darker(c, .35))
    p.box(x - r * .72, y - r * .55, x + r * .72, y + r * .8, c)
    for s in (-.32, .32):
        p.disc(x + s * r, y - r * .12, r * .2, WHITE)
        p.disc(x + s * r, y - r * .12, r * .1, BLACK)
    p.box(x - r * .4, y + r * .35, x + r * .4, y + r * .55, darker(c, .5))


def ghost(p, x, y, r, c):
    p.half(x, y - r * .15, r * .7, r * .8, 180, 360, c)
    p.box(x - r * .7, y - r * .17, x + r * .7, y + r * .7, c)
    for k in (-.47, 0, .47):
        p.disc(x + k * r, y + r * .7, r * .235, c)
    ink = eyes(p, x, y - r * .15, r, c, .26)
    p.oval(x, y + r * .18, r * .12, r * .17, ink)


def gift(p, x, y, r, c):
    rib = YELLOW if apart(c, YELLOW) else (222, 42, 42)
    p.box(x - r * .75, y - r * .3, x + r * .75, y + r * .85, c)
    p.box(x - r * .85, y - r * .45, x + r * .85, y - r * .12, darker(c, .15))
    p.box(x - r * .13, y - r * .45, x + r * .13, y + r * .85, rib)
    for s in (-1, 1):
        p.oval(x + s * r * .3, y - r * .65, r * .3, r * .2, rib)


def icecream(p, x, y, r, c):
    p.poly([(x - r * .45, y - r * .02), (x + r * .45, y - r * .02), (x, y + r)], (222, 168, 96))
    p.disc(x, y - r * .35, r * .52, c)
    p.oval(x, y - r * .05, r * .55, r * .14, c)
    p.disc(x, y - r * .9, r * .13, (222, 42, 42))


def cake(p, x, y, r, c):
    p.box(x - r * .85, y + r * .1, x + r * .85, y + r * .85, c)
    p.box(x - r * .55, y - r * .4, x + r * .55, y + r * .12, lighter(c, .45))
    for k in (-.3, 0, .3):
        p.box(x + (k - .05) * r, y - r * .72, x + (k + .05) * r, y - r * .38, (120, 170, 240))
        p.oval(x + k * r, y - r * .82, r * .06, r * .11, (250, 170, 40))


def clock(p, x, y, r, c):
    p.disc(x, y, r * .95, c)
    p.disc(x, y, r * .76, WHITE)
    for px, py in around(x, y, r * .62, 12):
        p.disc(px, py, r * .05, BLACK)
    p.line([(x, y), (x, y - r * .5)], r * .08, BLACK)
    p.line([(x, y), (x + r * .36, y + r * .12)], r * .08, BLACK)


def castle(p, x, y, r, c):
    p.box(x - r * .6, y - r * .1, x + r * .6, y + r * .9, c)
    for s in (-.7, .7):
        p.box(x + (s - .22) * r, y - r * .4, x + (s + .22) * r, y + r * .9, darker(c, .15))
        p.poly([(x + s * r, y - r), (x + (s + .3) * r, y - r * .38), (x + (s - .3) * r, y - r * .38)], (180, 60, 60) if apart(c, (180, 60, 60)) else (70, 80, 150))
    for k in (-.4, -.13, .14, .41):
        p.box(x + (k - .08) * r, y - r * .25, x + (k + .08) * r, y - r * .05, c)
    p.half(x, y + r * .55, r * .2, r * .25, 180, 360, (70, 46, 30))
    p.box(x - r * .2, y + r * .54, x + r * .2, y + r * .9, (70, 46, 30))


def tent(p, x, y, r, c):
    p.poly([(x, y - r * .75), (x + r, y + r * .75), (x - r, y + r * .75)], c)
    p.poly([(x, y - r * .3), (x + r * .32, y + r * .75), (x - r * .32, y + r * .75)], darker(c, .55))


def plane(p, x, y, r, c):
    p.poly([(x + r * .55, y - r * .1), (x + r * .95, y - r * .6), (x + r * .98, y)], darker(c, .25))
    p.oval(x, y, r, r * .26, c)
    p.poly([(x - r * .15, y), (x + r * .3, y), (x + r * .5, y + r * .65), (x + r * .25, y + r * .65)], darker(c, .3))
    for k in (-.55, -.3, -.05, .2):
        p.disc(x + k * r, y - r * .07, r * .07, SKY)


def pumpkin(p, x, y, r, c):
    p.box(x - r * .08, y - r * .8, x + r * .1, y - r * .4, GREEN)
    for k, w in ((-.5, .45), (.5, .45), (0, .5)):
        p.oval(x + k * r, y + r * .12, w * r, r * .65, c if k else lighter(c, .15))
    ink = (60, 30, 10)
    for s in (-1, 1):
        p.poly([(x + s * r * .35, y - r * .18), (x + s * r * .18, y + r * .1), (x + s * r * .52, y + r * .1)], ink)
    p.half(x, y + r * .28, r * .5, r * .32, 0, 180, ink)


def leaf(p, x, y, r, c):
    p.line([(x - r * .9, y + r * .9), (x - r * .3, y + r * .3)], r * .1, BROWN)
    pts = [(x - r * .55, y + r * .55), (x - r * .62, y - r * .3), (x - r * .1, y - r * .85), (x + r * .9, y - r * .9),
           (x + r * .85, y + r * .1), (x + r * .3, y + r * .62)]
    p.poly(pts, c)
    p.line([(x - r * .5, y + r * .5), (x + r * .7, y - r * .7)], r * .06, darker(c, .3))


def lighthouse(p, x, y, r, c):
    p.poly([(x - r * .22, y - r * .5), (x + r * .22, y - r * .5), (x + r * .36, y + r), (x - r * .36, y + r)], WHITE)
    p.poly([(x - r * .245, y - r * .25), (x + r * .245, y - r * .25), (x + r * .28, y + r * .12), (x - r * .28, y + r * .12)], c)
    p.poly([(x - r * .31, y + r * .48), (x + r * .31, y + r * .48), (x + r * .345, y + r * .82), (x - r * .345, y + r * .82)], c)
    p.box(x - r * .17, y - r * .78, x + r * .17, y - r * .5, (255, 232, 130))
    p.poly([(x, y - r), (x + r * .25, y - r * .76), (x - r * .25, y - r * .76)], darker(c, .35))


def ufo(p, x, y, r, c):
    p.half(x, y - r * .05, r * .45, r * .6, 180, 360, SKY)
    p.oval(x, y + r * .08, r, r * .3, c)
    for k in (-.6, -.2, .2, .6):
        p.disc(x + k * r, y + r * .1, r * .08, YELLOW if apart(c, YELLOW) else (222, 42, 42))


def mountain(p, x, y, r, c):
    p.poly([(x, y - r), (x + r * 1.1, y + r * .8), (x - r * 1.1, y + r * .8)], c)
    p.poly([(x, y - r), (x + r * .34, y - r * .42), (x + r * .1, y - r * .55), (x - r * .08, y - r * .36), (x - r * .34, y - r * .42)], WHITE)


SHAPES = {"circle": circle, "square": square, "triangle": triangle, "star": star, "heart": heart,
          "diamond": diamond, "ring": ring, "cross": cross, "hexagon": hexagon, "oval": oval,
          "rectangle": rectangle, "arrow": arrow}
# thing: (draw, natural colours or None for any colour)
THINGS = {
    "house": (house, None), "tree": (tree, ["green"]), "pine tree": (pine, ["green"]),
    "palm tree": (palm, ["green"]), "flower": (flower, None), "car": (car, None), "boat": (boat, None),
    "fish": (fish, None), "balloon": (balloon, None), "hot air balloon": (airship, None),
    "mushroom": (mushroom, ["red", "brown"]), "apple": (apple, ["red", "green", "yellow"]),
    "butterfly": (butterfly, None), "umbrella": (umbrella, None), "cup": (cup, None), "rocket": (rocket, None),
    "happy face": (happy, ["yellow"]), "sad face": (sad, ["yellow", "blue"]),
    "cat": (cat, ["orange", "gray", "black", "white", "brown"]), "dog": (dog, ["brown", "white", "gray"]),
    "rabbit": (rabbit, ["white", "gray", "brown"]), "bear": (bear, ["brown", "white", "black"]),
    "bird": (bird, None), "penguin": (penguin, []), "whale": (whale, ["blue", "gray"]), "snowman": (snowman, []),
    "cactus": (cactus, ["green"]), "kite": (kite, None), "cloud": (cloud, ["white", "gray"]),
    "sun": (sun, ["yellow", "orange"]), "moon": (moon, ["yellow", "white"]), "planet": (planet, None),
    "robot": (robot, ["gray", "blue"]), "ghost": (ghost, ["white"]), "gift": (gift, None),
    "ice cream": (icecream, ["pink", "white", "brown"]), "cake": (cake, ["pink", "brown", "white"]),
    "clock": (clock, None), "castle": (castle, ["gray", "white", "pink"]), "tent": (tent, None),
    "plane": (plane, ["white", "blue", "red"]), "pumpkin": (pumpkin, ["orange"]),
    "leaf": (leaf, ["green", "orange", "red"]), "lighthouse": (lighthouse, ["red", "blue"]),
    "ufo": (ufo, ["gray", "green"]), "mountain": (mountain, ["gray", "brown", "blue"]),
}
FIXED = {n for n, (_, c) in THINGS.items() if c == []}          # never take a colour word
PLURAL = {"fish": "fish", "leaf": "leaves", "butterfly": "butterflies", "snowman": "snowmen", "cactus": "cacti",
          "cross": "crosses", "bunny": "bunnies", "puppy": "puppies"}
SYNONYM = {"happy face": ["happy face", "smiling face", "smiley", "smiley face", "happy smiley"],
           "circle": ["circle", "circle", "dot", "disc"], "cup": ["cup", "mug"], "car": ["car", "car", "auto"],
           "boat": ["boat", "boat", "ship", "sailboat"], "plane": ["plane", "airplane"], "rabbit": ["rabbit", "bunny"],
           "gift": ["gift", "present"], "dog": ["dog", "dog", "puppy"], "cat": ["cat", "cat", "kitten"],
           "pine tree": ["pine tree", "pine", "christmas tree"], "house": ["house", "house", "home"],
           "cross": ["cross", "plus"], "moon": ["moon", "crescent moon"], "bear": ["bear", "bear", "teddy bear"],
           "oval": ["oval", "ellipse"], "rectangle": ["rectangle", "rectangle"], "diamond": ["diamond", "diamond"]}
COUNTS = {2: ["two", "two", "2", "a pair of"], 3: ["three", "three", "3"], 4: ["four", "four", "4"],
          5: ["five", "five", "5"], 6: ["six", "six", "6"]}
PLACES = {(0, 0): ["in the top left corner", "at the top left"], (1, 0): ["at the top", "on top"],
          (2, 0): ["in the top right corner", "at the top right"], (0, 1): ["on the left", "on the left side"],
          (1, 1): ["in the middle", "in the center"], (2, 1): ["on the right", "on the right side"],
          (0, 2): ["in the bottom left corner", "at the bottom left"], (1, 2): ["at the bottom"],
          (2, 2): ["in the bottom right corner", "at the bottom right"]}
SMALL, BIG = ["small", "small", "little", "tiny"], ["big", "large", "huge", "giant"]


def article(words):
    return ("an " if words[0] in "aeiou" and not words.startswith("uf") else "a ") + words


def plural(name):
    if name in PLURAL:
        return PLURAL[name]
    return name + ("es" if name.endswith(("s", "x")) else "s")


class Thing:
    """One kind of thing with its colour and the words for them."""

    def __init__(self, rng, background, kind=None, shape_chance=0.5):
        if kind is None:
            kind = rng.choice(list(SHAPES)) if rng.random() < shape_chance else rng.choice(list(THINGS))
        self.kind, self.rng = kind, rng
        if kind in SHAPES:
            self.draw, natural = SHAPES[kind], None
        else:
            self.draw, natural = THINGS[kind]
        self.fixed = kind in FIXED
        say = 0.88
        self.words, self.rgb = any_colour(rng, background)
        if natural and rng.random() < 0.5:
            near = [n for n in natural if apart(COLOURS[n], background)]
            if near:                                # its usual colour: often left unsaid
                self.words = rng.choice(near)
                self.rgb = jitter(rng, COLOURS[self.words])
                say = 0.4
        self.said = not self.fixed and rng.random() < say
        self.name = rng.choice(SYNONYM.get(kind, [kind]))

    def noun(self, many=False):
        name = plural(self.name) if many else self.name
        return (self.words + " " + name) if self.said else name


def background(rng):
    """(rgb, words or '')"""
    u = rng.random()
    if u < 0.30:
        words, rgb = "white", jitter(rng, COLOURS["white"], 4)
    else:
        words, rgb = any_colour(rng)
    if rng.random() < (0.45 if u < 0.30 else 0.8):
        style = rng.random()
        if style < 0.7:
            return rgb, "on " + article(words + " background")
        if style < 0.85:
            return rgb, "on " + words
        return rgb, "with " + article(words + " background")
    return rgb, ""


OPENINGS = ["a picture of ", "a picture of ", "draw ", "draw ", "a drawing of ", "an image of ", "show me ", "paint ",
            "please draw ", "make ", "a photo of ", "a painting of ", "there is ", "I want "]
PRAISE = ["simple ", "nice ", "beautiful ", "cute ", "pretty ", "lovely "]


def opening(rng, text):
    u = rng.random()
    if u < 0.15:
        return rng.choice(OPENINGS) + text
    if u < 0.19 and text.startswith("a "):
        return "a " + rng.choice(PRAISE) + text[2:]
    return text


def single(rng):
    bg, bg_words = background(rng)
    t = Thing(rng, bg)
    p = Pad(bg)
    u = rng.random()
    size = ""
    if u < 0.16:
        r, size = rng.uniform(.11, .16), rng.choice(SMALL) + " "
    elif u < 0.34:
        r, size = rng.uniform(.36, .44), rng.choice(BIG) + " "
    else:
        r = rng.uniform(.2, .36)
    place = ""
    x = y = 0.5
    if rng.random() < 0.42 and r < 0.3:
        key = rng.choice(list(PLACES))
        r = min(r, .24)
        m = max(r + .03, .22)
        x = (m, .5, 1 - m)[key[0]] + rng.uniform(-.02, .02)
        y = (m, .5, 1 - m)[key[1]] + rng.uniform(-.02, .02)
        place = " " + rng.choice(PLACES[key])
    else:
        x += rng.uniform(-.04, .04)
        y += rng.uniform(-.04, .04)
    t.draw(p, x, y, r, t.rgb)
    noun = size + t.noun()
    head = article(noun) if rng.random() < 0.8 else noun
    text = head + place + (" " + bg_words if bg_words else "")
    return opening(rng, text), p


def couple(rng):
    bg, bg_words = background(rng)
    a = Thing(rng, bg)
    b = Thing(rng, bg)
    p = Pad(bg)
    A, B = article(a.noun()), article(b.noun())
    u = rng.random()
    ra, rb = rng.uniform(.15, .21), rng.uniform(.15, .21)
    j = lambda: rng.uniform(-.025, .025)
    if u < 0.13 and a.kind in SHAPES and b.kind in ("circle", "square", "hexagon", "heart", "diamond", "star", "oval"):
        # one thing inside another
        big = rng.uniform(.38, .44)
        while not apart(a.rgb, b.rgb):
            a.words, a.rgb = any_colour(rng, bg, b.rgb)
        A = article(a.noun())
        b.draw(p, .5, .5, big, b.rgb)
        a.draw(p, .5, .5, big * (.45 if b.kind in ("circle", "square", "hexagon") else .32), a.rgb)
        text = A + rng.choice([" inside ", " in "]) + B
    elif u < 0.60:
        left, right = (.27 + j(), .5 + j()), (.73 + j(), .5 + j())
        a.draw(p, *left, ra, a.rgb)
        b.draw(p, *right, rb, b.rgb)
        v = rng.random()
        if v < 0.3:
            text = A + rng.choice([" to the left of ", " left of "]) + B
        elif v < 0.6:
            text = B + rng.choice([" to the right of ", " right of "]) + A
        elif v < 0.8:
            text = A + rng.choice([" and ", " and ", " next to ", " beside ", ", "]) + B
        else:
            text = A + " on the left and " + B + " on the right"
    else:
        top, low = (.5 + j(), .27 + j()), (.5 + j(), .73 + j())
        a.draw(p, *top, ra, a.rgb)
        b.draw(p, *low, rb, b.rgb)
        v = rng.random()
        if v < 0.5:
            text = A + rng.choice([" above ", " above ", " over ", " on top of "]) + B
        elif v < 0.85:
            text = B + rng.choice([" below ", " under ", " below ", " beneath "]) + A
        else:
            text = A + " at the top and " + B + " at the bottom"
    return opening(rng, text + (" " + bg_words if bg_words else "")), p


SPOTS = {2: [(.29, .5), (.71, .5)], 3: [(.5, .28), (.27, .7), (.73, .7)],
         4: [(.28, .28), (.72, .28), (.28, .72), (.72, .72)],
         5: [(.24, .26), (.76, .26), (.5, .5), (.24, .75), (.76, .75)],
         6: [(.2, .31), (.5, .31), (.8, .31), (.2, .69), (.5, .69), (.8, .69)]}


def several(rng):
    bg, bg_words = background(rng)
    t = Thing(rng, bg, shape_chance=0.6)
    n = rng.choice([2, 2, 3, 3, 3, 4, 4, 5, 6])
    p = Pad(bg)
    r = rng.uniform(.15, .19) if n < 5 else rng.uniform(.12, .145)
    spots = SPOTS[n]
    if n == 3 and rng.random() < 0.5:
        spots = [(.2, .5), (.5, .5), (.8, .5)]
        r = min(r, .145)
    for x, y in spots:
        t.draw(p, x + rng.uniform(-.02, .02), y + rng.uniform(-.02, .02), r, t.rgb)
    text = rng.choice(COUNTS[n]) + " " + t.noun(many=True) + (" " + bg_words if bg_words else "")
    return opening(rng, text), p


def many_colours(rng):
    """Two or three counted groups in a row: 'two red circles and a blue star'."""
    bg, bg_words = background(rng)
    a, b = Thing(rng, bg, shape_chance=0.8), Thing(rng, bg, shape_chance=0.8)
    p = Pad(bg)
    na = rng.choice([1, 2, 2, 3])
    nb = rng.choice([1, 1, 2, 3])
    j = lambda: rng.uniform(-.02, .02)
    for n, t, y in ((na, a, .29), (nb, b, .71)):
        xs = {1: [.5], 2: [.3, .7], 3: [.2, .5, .8]}[n]
        for x in xs:
            t.draw(p, x + j(), y + j(), .14 if n == 3 else .17, t.rgb)
    say = lambda n, t: article(t.noun()) if n == 1 else rng.choice(COUNTS[n][:2]) + " " + t.noun(many=True)
    if rng.random() < 0.5:
        text = say(na, a) + " above " + say(nb, b)
    else:
        text = say(na, a) + " and " + say(nb, b)
    return text + (" " + bg_words if bg_words else ""), p


def pattern(rng):
    wa, a = any_colour(rng)
    wb, b = any_colour(rng, a)
    p = Pad(a)
    u = rng.random()
    if u < 0.3:
        n = rng.choice([3, 4, 5])
        up = rng.random() < 0.5
        for i in range(n):
            s, e = (2 * i + 1) / (2 * n), (2 * i + 2) / (2 * n)
            p.box(*((s, 0, e, 1) if up else (0, s, 1, e)), b)
        way = ("vertical " if up else "horizontal ") if rng.random() < 0.6 else ""
        text = way + wa + " and " + wb + " stripes"
    elif u < 0.5:
        n = rng.choice([4, 6, 8])
        for i in range(n):
            for k in range(n):
                if (i + k) % 2:
                    p.box(i / n, k / n, (i + 1) / n, (k + 1) / n, b)
        text = article(wa + " and " + wb + " checkerboard")
    elif u < 0.75:
        n = rng.choice([3, 4, 5])
        for i in range(n):
            for k in range(n):
                p.disc((i + .5) / n, (k + .5) / n, .26 / n, b)
        text = wb + rng.choice([" polka dots on ", " dots on "]) + rng.choice([wa, article(wa + " background")])
    else:
        ramp = np.linspace(0, 1, p.n, dtype=np.float32)[:, None, None]
        up = rng.random() < 0.5
        img = np.array(a, np.float32) * (1 - ramp) + np.array(b, np.float32) * ramp
        img = np.broadcast_to(img, (p.n, p.n, 3))
        if not up:
            img = img.transpose(1, 0, 2)
        p = Pad(Image.fromarray(np.ascontiguousarray(img).astype(np.uint8)))
        text = article("gradient from " + wa + " to " + wb)
    if rng.random() < 0.35:
        while True:
            t = Thing(rng, a)
            if apart(t.rgb, b):
                break
        t.draw(p, .5, .5, rng.uniform(.26, .36), t.rgb)
        noun = article(t.noun())
        if u < 0.3:
            return noun + " on " + wa + " and " + wb + " stripes", p
        if u < 0.5:
            return noun + " on " + text, p
        if u < 0.75:
            return noun + " on a background with " + wb + " dots", p
        return noun + " on " + text, p
    return text, p


# --- scenes ----------------------------------------------------------------------

SKIES = {"day": ((110, 180, 240), (205, 232, 250)), "sunset": ((120, 70, 150), (252, 160, 80)),
         "night": ((10, 14, 44), (36, 44, 92)), "gray": ((140, 148, 160), (196, 202, 208))}
SAY_TIME = {"day": ["on a sunny day", "in the daytime", "under a blue sky", "during the day", "with a blue sky"],
            "sunset": ["at sunset", "at sunset", "in the evening", "with a red sky", "at dusk"],
            "night": ["at night", "at night", "in the night", "under the night sky", "in the dark"],
            "gray": ["on a cloudy day", "on a gray day", "with a gray sky"]}
DIM = {"day": 0.0, "sunset": 0.22, "night": 0.5, "gray": 0.08}


def gradient(top, low):
    n = SIZE * SCALE
    ramp = np.linspace(0, 1, n, dtype=np.float32)[:, None, None]
    img = np.array(top, np.float32) * (1 - ramp) + np.array(low, np.float32) * ramp
    return Image.fromarray(np.ascontiguousarray(np.broadcast_to(img, (n, n, 3))).astype(np.uint8))


def hills(p, rng, y, col, waves=2, height=.05):
    ph = rng.uniform(0, 6.28)
    pts = [(i / 24, y + height * math.sin(ph + waves * math.pi * i / 24)) for i in range(25)]
    p.poly(pts + [(1, 1), (0, 1)], col)


def join(parts, rng):
    if len(parts) == 1:
        return parts[0]
    if rng.random() < 0.2:
        return ", ".join(parts)
    return ", ".join(parts[:-1]) + " and " + parts[-1]


def scene(rng):
    place = rng.choice(["meadow", "meadow", "sea", "sea", "beach", "desert", "snow", "mountains", "forest", "city",
                        "space", "underwater", "island", "road", "sky"])
    time = rng.choice(["day", "day", "day", "sunset", "night", "night", "gray"])
    if place == "space":
        return space(rng)
    if place == "underwater":
        return underwater(rng)
    top, low = SKIES[time]
    p = Pad(gradient(jitter(rng, top, 12), jitter(rng, low, 12)))
    dim = lambda c: darker(jitter(rng, c, 10), DIM[time])
    sky_parts, parts, tail = [], [], []

    # in the sky
    spots = [(.18, .17), (.5, .14), (.82, .17)]
    rng.shuffle(spots)
    if time == "night":
        if rng.random() < 0.75:
            for _ in range(rng.randint(14, 26)):
                q = rng.uniform(.004, .011)
                p.disc(rng.random(), rng.uniform(0, .55), q, (250, 250, 220))
            if rng.random() < 0.75:
                sky_parts.append(rng.choice(["stars", "stars", "many stars", "a starry sky"]))
        if rng.random() < 0.65:
            x, y = spots.pop()
            if rng.random() < 0.6:
                moon(p, x, y, rng.uniform(.08, .12), (250, 240, 180))
            else:
                p.disc(x, y, rng.uniform(.07, .11), (250, 244, 200))
            if rng.random() < 0.85:
                sky_parts.append(rng.choice(["the moon", "a moon", "a moon", "a bright moon"]))
    elif time == "sunset":
        if rng.random() < 0.8:
            x = rng.choice([.3, .5, .7])
            p.disc(x, .5, rng.uniform(.1, .15), (255, 214, 90))
            if rng.random() < 0.7:
                sky_parts.append(rng.choice(["the sun", "a sun", "an orange sun", "the setting sun"]))
    elif time == "day" and rng.random() < 0.62:
        x, y = spots.pop()
        sun(p, x, y, rng.uniform(.1, .14), jitter(rng, (252, 214, 50)))
        if rng.random() < 0.85:
            sky_parts.append(rng.choice(["the sun", "a sun", "a yellow sun", "a shining sun"]))
    rain = False
    if time == "day" and rng.random() < 0.12:
        for i, c in enumerate([(226, 50, 50), (246, 150, 40), (250, 224, 70), (70, 180, 80), (60, 110, 220), (140, 70, 180)]):
            p.arc(.5, .72, .56 - .03 * i, .56 - .03 * i, 180, 360, .032, c)
        sky_parts.append("a rainbow")
    elif spots and time != "sunset" and rng.random() < (0.8 if time == "gray" else 0.4):
        n = rng.randint(1, len(spots))
        for x, y in [spots.pop() for _ in range(n)]:
            cloud(p, x, y, rng.uniform(.09, .14), darker((250, 250, 252) if time == "day" else (222, 226, 232), DIM[time]))
        if rng.random() < 0.75:
            if n == 1:
                sky_parts.append(rng.choice(["a cloud", "a white cloud"] if time == "day" else ["a cloud"]))
            else:
                sky_parts.append(rng.choice(["clouds", "white clouds"] if time == "day" else ["clouds"]))
        rain = time == "gray" and place not in ("snow", "desert") and rng.random() < 0.4
    flyer = None
    if place == "sky" or (spots and rng.random() < 0.14):
        kind = rng.choice(["plane", "hot air balloon", "bird", "kite", "balloon"])
        bg = mix(top, low, .3)
        t = Thing(rng, bg, kind=kind)
        if place == "sky":
            flyer = (t, rng.uniform(.4, .6), rng.uniform(.4, .55), rng.uniform(.16, .24))
        else:
            x, y = spots.pop()
            flyer = (t, x, y + .04, .1)
        t.draw(p, flyer[1], flyer[2], flyer[3], t.rgb)
        (parts if place == "sky" else sky_parts).append(article(t.noun()))

    # the ground
    where = []
    foot = rng.uniform(.62, .7)               # where the ground begins
    stand = foot + .05
    ground = (90, 180, 80)
    things = []
    if place == "meadow":
        ground = dim(rng.choice([(92, 182, 84), (110, 190, 80), (70, 160, 70)]))
        if rng.random() < 0.4:
            hills(p, rng, foot - .07, lighter(ground, .18), 2.3, .06)
        hills(p, rng, foot, ground, 1.4, .025)
        if rng.random() < 0.3:
            for _ in range(14):
                x, y = rng.random(), rng.uniform(foot + .1, .97)
                p.disc(x, y, .014, rng.choice([(240, 80, 80), (250, 220, 80), (250, 250, 250), (200, 110, 220)]))
            where = ["on a field with flowers", "in a field of flowers", "in a flower garden"]
        else:
            where = ["on a green field", "on the grass", "on green grass", "on a hill", "on a green hill", "in a meadow", "in a garden"]
        things = ["house", "tree", "flower", "cat", "dog", "rabbit", "mushroom", "tent", "castle", "car", "bear", "butterfly",
                  "pumpkin", "robot", "umbrella", "apple", "gift", "house", "tree"]
    elif place in ("sea", "island"):
        ground = dim(rng.choice([(40, 110, 200), (30, 130, 190), (50, 150, 210)]))
        p.box(0, foot, 1, 1, ground)
        for _ in range(9):
            x, y = rng.random(), rng.uniform(foot + .05, .97)
            p.line([(x - .05, y), (x - .02, y - .012), (x + .02, y), (x + .05, y - .012)], .009, lighter(ground, .35))
        where = ["on the sea", "on the sea", "on the ocean", "on blue water", "at sea", "on the water"]
        things = ["boat", "boat", "boat", "whale", "lighthouse"]
        stand = foot + .02
        if place == "island":
            p.half(.5, foot + .1, .34, .13, 180, 360, dim((236, 208, 140)))
            palm(p, .42, foot - .12, .2, dim(GREEN))
            where, things = ["on the sea", "in the ocean", ""], []
            parts.append(rng.choice(["an island with a palm tree", "an island", "a small island with a palm tree", "a palm tree on an island"]))
    elif place == "beach":
        sea = dim((40, 140, 205))
        p.box(0, foot - .14, 1, 1, sea)
        ground = dim((238, 212, 148))
        hills(p, rng, foot + .02, ground, 1.2, .02)
        where = ["on the beach", "on a beach", "on a sandy beach by the sea", "on the sand by the sea"]
        things = ["umbrella", "palm tree", "palm tree", "dog", "boat", "bird", "tent", "lighthouse"]
    elif place == "desert":
        ground = dim((232, 194, 118))
        if rng.random() < 0.4:
            x = rng.uniform(.25, .75)
            p.poly([(x, foot - .26), (x + .24, foot + .03), (x - .24, foot + .03)], dim((206, 160, 92)))
            p.poly([(x, foot - .26), (x + .24, foot + .03), (x + .05, foot + .03)], dim((180, 136, 76)))
            parts.append("a pyramid")
        hills(p, rng, foot, ground, 2, .03)
        where = ["in the desert", "in the desert", "in a desert", "on the sand"]
        things = ["cactus", "cactus", "cactus", "tent", "car"]
    elif place == "snow":
        ground = dim((240, 245, 252))
        hills(p, rng, foot, ground, 1.6, .03)
        where = ["in the snow", "in the snow", "on the snow", "in a snowy field", "in winter"]
        things = ["snowman", "snowman", "pine tree", "house", "penguin", "rabbit", "dog", "bear", "pine tree"]
    elif place == "mountains":
        col = dim(rng.choice([(120, 120, 132), (110, 122, 150), (128, 108, 96)]))
        for x, r in ((rng.uniform(.15, .35), .3), (rng.uniform(.65, .85), .28), (rng.uniform(.42, .58), .36)):
            mountain(p, x, foot - r * .5, r, col)
            col = darker(col, .12)
        ground = dim((84, 160, 84))
        hills(p, rng, foot + .06, ground, 1.3, .02)
        stand = foot + .1
        parts.append(rng.choice(["mountains", "mountains", "snowy mountains", "big mountains"]))
        where = [""]
        things = ["pine tree", "tent", "house", "castle", "tree"] if rng.random() < 0.5 else []
    elif place == "forest":
        ground = dim((70, 140, 66))
        hills(p, rng, foot, ground, 1.5, .02)
        kind = rng.choice(["tree", "pine tree"])
        f = THINGS[kind][0]
        for i in range(rng.randint(6, 8)):
            f(p, (i + .5) / 7 + rng.uniform(-.03, .03), foot - .1 + rng.uniform(-.03, .06), rng.uniform(.15, .21),
              dim(rng.choice([(50, 130, 60), (40, 110, 50), (70, 150, 70)])))
        where = ["in a forest", "in the forest", "in the woods"] if kind == "tree" else ["in a pine forest", "in the forest", "in the woods"]
        things = ["bear", "rabbit", "mushroom", "tent", "house", "mushroom", "ghost"] if rng.random() < 0.65 else []
    elif place == "city":
        x = -.02
        while x < 1:
            w, h = rng.uniform(.12, .2), rng.uniform(.2, .5)
            col = dim(rng.choice([(120, 124, 140), (150, 110, 100), (96, 110, 140), (170, 160, 150), (110, 100, 120)]))
            p.box(x, foot + .1 - h, x + w - .012, foot + .12, col)
            lit = (255, 226, 120) if time in ("night", "sunset") else lighter(col, .5)
            yy = foot + .1 - h + .03
            while yy < foot + .06:
                for k in range(2):
                    if rng.random() < 0.8:
                        p.box(x + w * (.2 + .36 * k), yy, x + w * (.2 + .36 * k) + .03, yy + .03, lit)
                yy += .07
            x += w
        ground = dim((90, 92, 98))
        p.box(0, foot + .1, 1, 1, ground)
        stand = foot + .18
        where = ["in the city", "in a city", "in a big city", "in front of buildings", "in town"]
        things = ["car", "car", "tree", "dog", "robot"] if rng.random() < 0.6 else []
    elif place == "road":
        ground = dim((96, 176, 84))
        hills(p, rng, foot - .04, ground, 1.5, .02)
        p.box(0, foot + .08, 1, foot + .27, dim((84, 86, 92)))
        for i in range(5):
            p.box(i * .22, foot + .165, i * .22 + .1, foot + .185, (240, 240, 230))
        stand = foot + .13
        where = ["on the road", "on a road", "on the street"]
        things = ["car", "car", "car"]
    elif place == "sky":
        where, things = ["in the sky", "in the sky", "in the air"], []

    # things standing on the ground
    if things:
        n = rng.choice([1, 1, 2, 2]) if place not in ("road", "sea", "city") else rng.choice([1, 1, 1, 2])
        slots = {1: [rng.uniform(.3, .7)], 2: [rng.uniform(.22, .3), rng.uniform(.68, .78)]}[n]
        drawn = []
        for i, x in enumerate(slots):
            t = Thing(rng, mix(ground, low, .4), kind=rng.choice(things))
            if t.kind in ("tree", "pine tree", "palm tree", "cactus") and t.rgb[1] < max(t.rgb[0], t.rgb[2]) and rng.random() < 0.6:
                t.words, t.rgb, t.said = "green", jitter(rng, COLOURS["green"]), rng.random() < 0.25
            r = rng.uniform(.15, .21) if n == 2 else rng.uniform(.17, .25)
            if t.kind in ("flower", "mushroom", "rabbit", "apple", "gift", "bird", "butterfly"):
                r *= .75
            if t.kind in ("castle", "lighthouse"):
                r *= 1.15
            y = stand - r * .55 + rng.uniform(0, .06)
            if place == "sea" and t.kind == "boat":
                y = stand - r * .6
            t.draw(p, x, y, r, darker(t.rgb, DIM[time] * .5))
            drawn.append(article(t.noun()))
        if len(drawn) == 2 and rng.random() < 0.3:
            drawn = [drawn[0] + rng.choice([" next to ", " beside "]) + drawn[1]]
        parts += drawn

    weather = ""
    if place == "snow" and rng.random() < 0.5:
        for _ in range(45):
            p.disc(rng.random(), rng.random(), rng.uniform(.006, .012), (252, 252, 255))
        if rng.random() < 0.6:
            weather = rng.choice(["with falling snow", "while it is snowing"])
    if rain:
        for _ in range(60):
            x, y = rng.random(), rng.uniform(.1, 1)
            p.line([(x, y), (x - .015, y + .05)], .006, (120, 160, 215))
        weather = rng.choice(["in the rain", "with rain", "on a rainy day"])

    # the caption
    out = []
    loc = rng.choice(where)
    if parts:
        out.append(join(parts, rng) + (" " + loc if loc and rng.random() < 0.9 else ""))
    else:
        bare = {"forest": ["a forest", "a green forest", "a forest with many trees"], "city": ["a city", "buildings", "a big city"],
                "sea": ["the sea", "the ocean"]}
        out.append(rng.choice(bare.get(place, ["a landscape"])))
    rng.shuffle(sky_parts)
    sky_said = sky_parts[:rng.choice([1, 2, 2, 3])]
    if sky_said and rng.random() < 0.9:
        out.append(rng.choice(["with ", "with ", "under ", "and "]) + join(sky_said, rng))
    if rng.random() < (0.55 if time != "night" else 0.75):
        tail.append(rng.choice(SAY_TIME[time]))
    if weather:
        tail.append(weather)
    text = " ".join(out + tail)
    if rng.random() < 0.08:                   # the terse style: a list of words
        text = ", ".join(parts + sky_said + ([time] if time in ("night", "sunset") else []))
    return opening(rng, text), p


def space(rng):
    p = Pad(jitter(rng, (12, 12, 34), 8))
    for _ in range(rng.randint(18, 34)):
        p.disc(rng.random(), rng.random(), rng.uniform(.004, .01), (250, 250, 225))
    n = rng.choice([1, 1, 2])
    slots = [(.5, .5)] if n == 1 else [(.29, rng.uniform(.35, .6)), (.71, rng.uniform(.4, .65))]
    parts = []
    for x, y in slots:
        t = Thing(rng, (12, 12, 34), kind=rng.choice(["rocket", "rocket", "planet", "planet", "ufo", "star", "moon", "robot", "cat"]))
        t.draw(p, x + rng.uniform(-.04, .04), y, rng.uniform(.17, .25) if n == 2 else rng.uniform(.22, .34), t.rgb)
        parts.append(article(t.noun()))
    text = join(parts, rng) + rng.choice([" in space", " in space", " in outer space", " among the stars", " in space with stars"])
    return opening(rng, text), p


def underwater(rng):
    water = rng.choice([(30, 110, 190), (20, 130, 170), (40, 90, 180)])
    p = Pad(gradient(jitter(rng, lighter(water, .25)), jitter(rng, darker(water, .25))))
    hills(p, rng, .9, (222, 196, 130), 2, .02)
    weed = rng.random() < 0.6
    if weed:
        for _ in range(rng.randint(2, 4)):
            x = rng.uniform(.08, .92)
            p.line([(x, .95), (x + .03, .85), (x - .03, .77), (x + .02, .68)], .022, jitter(rng, (50, 150, 70)))
    if rng.random() < 0.6:
        for _ in range(7):
            x, y = rng.random(), rng.uniform(.05, .8)
            p.arc(x, y, .018, .018, 0, 360, .006, (210, 235, 250))
    n = rng.choice([1, 1, 2, 3])
    t = Thing(rng, water, kind="fish")
    spots = {1: [(.5, .48)], 2: [(.3, .35), (.68, .62)], 3: [(.28, .26), (.7, .42), (.35, .7)]}[n]
    if n == 2 and rng.random() < 0.6:
        u = Thing(rng, water, kind=rng.choice(["fish", "fish", "whale"]))
        t.draw(p, *spots[0], .17, t.rgb)
        u.draw(p, *spots[1], .17, u.rgb)
        what = article(t.noun()) + " and " + article(u.noun())
    else:
        for x, y in spots:
            t.draw(p, x + rng.uniform(-.03, .03), y + rng.uniform(-.03, .03), rng.uniform(.22, .3) if n == 1 else .16, t.rgb)
        what = article(t.noun()) if n == 1 else rng.choice(COUNTS[n][:2]) + " " + t.noun(many=True)
    text = what + rng.choice([" underwater", " under the sea", " in the water", " in the sea", " under water"])
    if weed and rng.random() < 0.4:
        text += " with green plants"
    return opening(rng, text), p


FILLER = ["very", "some", "is", "are", "of", "the", "with", "and", "that", "it", "in", "please", "high", "quality", "detailed",
          "style", "colorful", "art"]
KINDS = [(single, 30), (couple, 22), (several, 11), (many_colours, 5), (pattern, 7), (scene, 38)]
WORDS_MAX = 23                                # longest caption, in words and commas


def draft(rng):
    """(caption, unfinished picture)"""
    while True:
        f = rng.choices([k for k, _ in KINDS], [w for _, w in KINDS])[0]
        text, pad = f(rng)
        text = " ".join(text.split())
        if len(text.replace(",", " ,").split()) <= WORDS_MAX:
            return text, pad


def caption(rng):
    return draft(rng)[0]


def sample(rng):
    text, pad = draft(rng)
    return text, pad.finish()


if __name__ == "__main__":
    rng = random.Random(int(sys.argv[2]) if len(sys.argv) > 2 else 1)
    cols, rows = 8, 6
    sheet = Image.new("RGB", (cols * SIZE, rows * SIZE))
    for i in range(cols * rows):
        text, img = sample(rng)
        sheet.paste(img, (i % cols * SIZE, i // cols * SIZE))
        print(i // cols, i % cols, text)
    sheet.save(sys.argv[1])
