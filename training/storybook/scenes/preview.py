"""A contact sheet of scenes with their captions, and the time that one scene takes."""
from __future__ import annotations

import argparse
import textwrap
import time
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from .compose import Composer
from .sprites import Sprites


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--count", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kind")
    parser.add_argument("--size", type=int, nargs=2, default=(256, 256), metavar=("HEIGHT", "WIDTH"))
    args = parser.parse_args()
    composer, (h, w) = Composer(Sprites(args.cache)), args.size
    columns = 6
    rows = -(-args.count // columns)
    sheet = Image.new("RGB", (columns * (w + 6), rows * (h + 46)), "white")
    pen = ImageDraw.Draw(sheet)
    begun = time.perf_counter()
    scenes = [composer.draw(np.random.default_rng((args.seed, i)), h, w, args.kind) for i in range(args.count)]
    print(f"{(time.perf_counter() - begun) / args.count * 1000:.1f} ms a scene")
    for i, scene in enumerate(scenes):
        x, y = (i % columns) * (w + 6), (i // columns) * (h + 46)
        sheet.paste(Image.fromarray(scene.image), (x, y))
        pen.text((x + 2, y + h + 2), "\n".join(textwrap.wrap(scene.text, 42)[:3]), fill="black")
    sheet.save(args.out)


if __name__ == "__main__":
    main()
