"""Scenes with their hints on disk: a training chunk as `storybook.latents` makes it, and hints beside it.

    python -m storybook.control.chunks --first 200 --chunks 4 --count 1024

hints-edges.npy [N, H, W] u8, hints-depth.npy [N, H, W] u8, hints-layout.npy [N, H, W, 3] u8. Numbers from 200 on, so
that the base model's chunks stay what they are; the base model may learn from these, too.
"""
from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from ..common import pick_device, work_folder
from ..latents import encode_chunk, load_vae
from ..scenes.chunks import chunk_path, make_chunk
from ..scenes.compose import Composer, Mix
from ..scenes.sprites import Sprites
from ..tokenizer import Tokenizer
from .hints import KINDS, hint

MIX = Mix(iconic=0.15)


def make_hints(work: Path, number: int, count: int, mix: Mix = MIX) -> Path:
    """Draws the scenes of a chunk again, by the same seeds, and keeps what a net is shown."""
    path = chunk_path(work, number, 256, 256)
    files = {kind: path / f"hints-{kind}.npy" for kind in KINDS}
    if all(file.exists() for file in files.values()):
        return path
    composer = Composer(Sprites(work), mix)
    shown = {kind: np.empty((count, 256, 256, *((3,) if kind == "layout" else ())), np.uint8) for kind in KINDS}
    for i in range(count):
        scene = composer.draw(np.random.default_rng((number, i)), 256, 256)
        for kind in KINDS:
            picture = hint(kind, scene.image, composer.masks)
            shown[kind][i] = picture if kind == "layout" else picture[..., 0]
    for kind, file in files.items():
        temporary = file.with_suffix(".tmp.npy")
        np.save(temporary, shown[kind])
        temporary.replace(file)
    return path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path)
    parser.add_argument("--first", type=int, default=200)
    parser.add_argument("--chunks", type=int, default=4)
    parser.add_argument("--count", type=int, default=1024)
    args = parser.parse_args()
    work, device = work_folder(args.work), pick_device()
    vae, _ = load_vae(work, device)
    tokenizer = Tokenizer(work / "tokenizer")
    for number in range(args.first, args.first + args.chunks):
        path = make_chunk(work, number, args.count, 256, 256, mix=MIX)
        encode_chunk(work, path, vae, tokenizer, device, keep_images=False)
        make_hints(work, number, args.count)
        print(f"chunk {number} with hints", flush=True)


if __name__ == "__main__":
    main()
