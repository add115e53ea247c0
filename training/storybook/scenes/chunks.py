"""Chunks of scenes on disk: pictures, captions' words and regions, made once and read through memory maps."""
from __future__ import annotations

import argparse
import json
import os
import time
from pathlib import Path

import numpy as np

from .compose import Composer, Mix
from .sprites import Sprites

SHAPES = ((256, 256), (256, 384), (384, 256))  # height, width
MAX_REGIONS = 8
HELD_OUT = 1_000_000  # chunk numbers from here on are never trained on


def chunk_path(work: Path, number: int, height: int, width: int) -> Path:
    return work / "chunks" / f"{number:07d}-{height}x{width}"


def make_chunk(work: Path, number: int, count: int, height: int, width: int, mix: Mix | None = None) -> Path:
    """Draws `count` scenes; the seed of scene i is (number, i), so a chunk can be made again anywhere.

    images.npy [N, H, W, 3] u8, regions.npy [N, 8, H/16, W/16] u8, words.json: per scene [[word, region], ...]
    where region is a row of regions.npy or -1.
    """
    path = chunk_path(work, number, height, width)
    if (path / "words.json").exists():
        return path
    composer = Composer(Sprites(work), mix or Mix())
    images = np.empty((count, height, width, 3), np.uint8)
    regions = np.zeros((count, MAX_REGIONS, height // 16, width // 16), np.uint8)
    captions, facts = [], []
    for i in range(count):
        scene = composer.draw(np.random.default_rng((number, i)), height, width)
        keys = list(scene.regions)[:MAX_REGIONS]
        images[i] = scene.image
        for j, key in enumerate(keys):
            regions[i, j] = scene.regions[key]
        captions.append([[word, keys.index(key) if key in keys else -1] for word, key in scene.words])
        facts.append(scene.facts)
    path.mkdir(parents=True, exist_ok=True)
    np.save(path / "images.npy", images)
    np.save(path / "regions.npy", regions)
    (path / "facts.json").write_text(json.dumps(facts))
    temporary = path / "words.json.tmp"
    temporary.write_text(json.dumps(captions))
    os.replace(temporary, path / "words.json")  # written last: a chunk with words is whole
    return path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--chunks", type=int, default=4)
    parser.add_argument("--count", type=int, default=1024)
    parser.add_argument("--size", type=int, nargs=2, default=(256, 256), metavar=("HEIGHT", "WIDTH"))
    args = parser.parse_args()
    for number in range(args.first, args.first + args.chunks):
        begun = time.time()
        make_chunk(args.work, number, args.count, *args.size)
        print(f"chunk {number}: {time.time() - begun:.0f} s", flush=True)


if __name__ == "__main__":
    main()
