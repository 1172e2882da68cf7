"""Lets the engine draw a contact sheet with the prompt under every picture.

    SD_LIBRARY=path/to/libstable-diffusion.so python3 sheet.py trifold-picture.gguf contact-sheet.png
"""

import sys

from PIL import Image, ImageDraw

import engine

PROMPTS = """a red circle on a blue background
two green triangles
a big yellow star on a purple background
three pink hearts on a white background
a green star inside a yellow circle
a house and a tree on a green hill with the sun
a boat on the sea at night with the moon and stars
a castle under a rainbow
a red car on the road
a city at night
an orange fish underwater
a snowman and a pine tree in the snow
a green cactus in the desert
a lighthouse by the sea under clouds
a happy face
a purple butterfly
a rocket and a planet in space
a small black cat in the top left corner
a blue and yellow checkerboard
a palm tree on the beach""".splitlines()


def main(path, out, columns=5):
    e = engine.Engine(path)
    cell, strip = 128, 26
    rows = -(-len(PROMPTS) // columns)
    sheet = Image.new("RGB", (columns * (cell + 4) + 4, rows * (cell + strip + 4) + 4), "white")
    pen = ImageDraw.Draw(sheet)
    for i, text in enumerate(PROMPTS):
        x, y = 4 + i % columns * (cell + 4), 4 + i // columns * (cell + strip + 4)
        sheet.paste(Image.fromarray(e.draw(text, seed=1)), (x, y))
        lines, line = [], ""
        for word in text.split():
            if pen.textlength(line + " " + word, font_size=9) > cell:
                lines.append(line)
                line = word
            else:
                line = (line + " " + word).strip()
        pen.text((x, y + cell + 1), "\n".join(lines + [line]), fill="black", font_size=9, spacing=1)
    sheet.save(out, optimize=True)
    print(out, sheet.size)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
