"""The words of the captions as token numbers of the engine's own tokenizer.

    python3 words.py <stable-diffusion.cpp>/src/tokenizers/vocab/qwen_merges.hpp

writes words.json, the only thing that training and export need.  The merge list is
read from the engine's source; of it only the numbers of our few hundred words are kept.
"""

import itertools
import json
import random
import re
import sys
from pathlib import Path

import scenes

PREFIX, SUFFIX = "<|im_start|>user\n", "<|im_end|>\n<|im_start|>assistant\n"
CAPTIONS = 200000                  # captions looked at to collect the words
ROWS = 151936                       # rows of the token table
START, END = 151644, 151645
NEWLINE = "\u010a"                  # how the byte-level alphabet writes a newline
SPACE = "\u0120"                    # ... and a space


# words that never occur in a caption but simply take over the row of one that does
LIKE = {
    "red": "crimson scarlet ruby reddish", "blue": "navy azure indigo bluish", "green": "lime emerald olive greenish",
    "yellow": "gold golden lemon amber", "orange": "tangerine", "purple": "magenta lilac lavender", "pink": "rosy",
    "brown": "chocolate tan", "black": "ebony", "white": "ivory cream", "gray": "silver silvery", "cyan": "turquoise teal aqua",
    "circle": "ball round sphere circular", "square": "cube box block", "triangle": "triangular", "star": "starfish",
    "ring": "donut hoop", "heart": "love", "house": "cottage hut cabin barn farm villa", "tree": "oak bush birch",
    "trees": "bushes", "pine": "fir spruce", "flower": "rose tulip daisy blossom", "flowers": "roses tulips daisies", "car": "vehicle truck taxi van bus",
    "cars": "trucks vehicles", "boat": "yacht vessel canoe", "boats": "ships yachts", "fish": "goldfish shark", "cat": "kitty lion tiger fox",
    "dog": "hound wolf", "rabbit": "hare", "bear": "panda", "bird": "chicken duck owl eagle parrot", "whale": "dolphin",
    "castle": "palace fortress", "tent": "camp", "rocket": "spaceship spacecraft shuttle", "plane": "jet aircraft",
    "planet": "world mars saturn", "robot": "android", "ghost": "spirit", "gift": "parcel package", "cake": "pie dessert",
    "apple": "fruit cherry", "cup": "coffee tea glass", "umbrella": "parasol", "sun": "sunshine sunny sunlight",
    "moon": "moonlight lunar", "cloud": "cloudy", "sea": "lake river", "ocean": "waves", "beach": "coast shore", "sand": "sandy dunes",
    "desert": "sahara", "snow": "ice frozen frost", "forest": "jungle", "mountains": "peaks hills alps", "mountain": "peak volcano",
    "city": "skyline downtown", "buildings": "skyscrapers towers", "grass": "lawn park", "field": "prairie farmland",
    "night": "midnight nighttime", "sunset": "sunrise dawn twilight", "evening": "nightfall", "rain": "rainstorm storm", "space": "galaxy cosmos universe",
    "small": "mini short", "big": "massive enormous great", "left": "leftmost", "two": "both couple twin", "above": "atop", "below": "underneath",
    "inside": "within", "clock": "watch", "road": "highway lane", "street": "avenue", "pumpkin": "halloween", "happy": "smile joyful",
    "sad": "crying unhappy", "leaf": "leafy", "butterfly": "moth", "draw": "create generate", "picture": "illustration cartoon sketch",
}


class Merges:
    """Byte-pair merging for plain ASCII words."""

    def __init__(self, path):
        raw = bytes(int(h, 16) for h in re.findall(r"0x([0-9a-f]{2})", Path(path).read_text()))
        lines = raw.decode("utf-8").split("\n")[:-1]
        alphabet = [b for b in range(256) if 33 <= b <= 126 or 161 <= b <= 172 or b >= 174]
        letters = [chr(b) for b in alphabet] + [chr(256 + i) for i in range(256 - len(alphabet))]
        pairs = [tuple(line.split(" ")) for line in lines]
        self.rank = {p: i for i, p in enumerate(pairs)}
        self.number = {}
        for i, t in enumerate(letters + [a + b for a, b in pairs]):
            self.number[t] = i
        assert len(letters) + len(pairs) == 151643, len(pairs)

    def encode(self, word):
        parts = list(word.replace(" ", SPACE).replace("\n", NEWLINE))
        while len(parts) > 1:
            best = min(itertools.pairwise(parts), key=lambda p: self.rank.get(p, 1 << 30))
            if best not in self.rank:
                break
            out, i = [], 0
            while i < len(parts):
                if i + 1 < len(parts) and (parts[i], parts[i + 1]) == best:
                    out.append(parts[i] + parts[i + 1])
                    i += 2
                else:
                    out.append(parts[i])
                    i += 1
            parts = out
        return [self.number[p] for p in parts]


def split(text):
    """Words, single digits and punctuation as the engine cuts them (a word keeps its space)."""
    return re.findall(r" ?[A-Za-z]+| (?=[0-9])|[0-9]| ?[^\sA-Za-z0-9]+", text)


class Vocabulary:
    """Captions as rows of the token table; row 0 is 'any other token', -1 is padding."""

    def __init__(self, path):
        data = json.loads(Path(path).read_text())
        self.table, self.frame, self.rows = data["table"], data["frame"], data["rows"]
        self.alias = {int(k): v for k, v in data["alias"].items()}
        found = [t for part in self.frame for t in part] + [t for ids in self.table.values() for t in ids]
        self.tokens = sorted(set(found))
        self.row = {t: i + 1 for i, t in enumerate(self.tokens)}
        self.size = len(self.tokens) + 1

    def prompt(self, text):
        pieces = split(text.lower())
        if pieces and pieces[0][0].isalpha():
            pieces[0] = " " + pieces[0]
        rows = []
        for piece in pieces:
            rows += [self.row[t] for t in self.table[piece]] if piece in self.table else [0]
        return rows

    def framed(self, rows, length):
        full = [self.row[t] for t in self.frame[0]] + rows + [self.row[t] for t in self.frame[1]]
        return full + [-1] * (length - len(full)) if len(full) <= length else None


def main(path):
    merges = Merges(path)
    rng = random.Random(0)
    seen = set()
    for _ in range(CAPTIONS):
        seen.update(re.sub(r"[^a-z0-9 ]", " ", scenes.caption(rng).lower()).split())
    seen.update(scenes.FILLER)
    words = sorted(w for w in seen if w.isalpha())
    table = {" " + w: merges.encode(" " + w) for w in words}       # exact piece of text -> token numbers
    known = {t for ids in table.values() for t in ids}
    alias = {}                      # another token that stands for the same word -> the word's token
    text_of = {n: t for t, n in merges.number.items()}
    split_forms = []
    for w in reversed(words):       # "mountains" before "mountain"
        ids = table[" " + w]
        for form in (w, w.capitalize(), " " + w.capitalize(), w.upper(), " " + w.upper()):
            other = merges.encode(form)
            if other == ids:
                continue
            if len(other) == len(ids) and other[1:] == ids[1:]:     # the same but for its first piece
                alias.setdefault(other[0], ids[0])
            elif len(ids) == 1 and len(other) > 1 and form == w:
                split_forms.append((other, ids[0], 3))
    for word, others in LIKE.items():
        assert len(table[" " + word]) == 1, word
        for w in others.split():
            for form in (" " + w, w, w.capitalize(), " " + w.capitalize()):
                ids = merges.encode(form)
                if len(ids) == 1 and ids[0] not in known:
                    alias.setdefault(ids[0], table[" " + word][0])
                elif len(ids) > 1:
                    split_forms.append((ids, table[" " + word][0], 5))
    for other, target, least in split_forms:        # a word in pieces: its longest new and rare piece stands for it
        new = [(len(text_of[t]), i, t) for i, t in enumerate(other) if t > 5000 and t not in known and t not in alias]
        if new and max(new)[0] >= least:
            alias[max(new)[2]] = target
    for piece in [",", ".", " ,", " .", " ", "!", "-"] + list("0123456789"):
        table[piece] = merges.encode(piece)
    frame = [[START] + merges.encode("user") + merges.encode("\n"),
             [END] + merges.encode("\n") + [START] + merges.encode("assistant") + merges.encode("\n")]
    data = {"rows": ROWS, "frame": frame, "table": table, "alias": {str(k): v for k, v in sorted(alias.items())}}
    Path("words.json").write_text(json.dumps(data, indent=0))
    many = [w for w in words if len(table[" " + w]) > 1]
    print(len(words), "words,", len({i for v in table.values() for i in v}), "tokens,", len(alias), "aliases; in several pieces:", many)


if __name__ == "__main__":
    main(sys.argv[1])
