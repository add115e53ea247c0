"""One command's worth of work on a lent GPU: scenes on all cores, then VAE or UNet by wall clock, results in small files.

    python -m storybook.gpu_run send --work WORK --out FOLDER            here: what has to be carried (own sprites)
    python -m storybook.gpu_run train --carried FOLDER --work /tmp/work --out $OUT --vae 3 --unet 5    there
    python -m storybook.gpu_run take --parts FOLDER --work WORK          here: joins the parts, unpacks

`train` resumes from --work if that is still there, else from training/checkpoints and the exported model. --vae and
--unet are minutes of this command; --vae-plan and --unet-plan the minutes over which the learning rate decays.
"""
from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from . import checkpoint
from .common import load, save
from .latents import encode_chunk, load_vae
from .scenes.chunks import HELD_OUT, SHAPES, chunk_path, make_chunk
from .scenes.objects import THINGS
from .scenes.sprites import STYLES, Sources, build
from .tokenizer import Tokenizer, write

PART = 15 * 2**20  # bytes; 16 MiB come back at most


def split_file(file: Path, folder: Path, size: int = PART) -> list[Path]:
    """file -> folder/NAME.00, NAME.01, ... of at most `size` bytes."""
    data, parts = file.read_bytes(), []
    for i in range(0, max(len(data), 1), size):
        parts.append(folder / f"{file.name}.{i // size:02d}")
        parts[-1].write_bytes(data[i:i + size])
    return parts


def join_parts(folder: Path, name: str, file: Path) -> None:
    """The reverse of split_file."""
    parts = sorted(folder.glob(f"{name}.[0-9][0-9]"))
    if not parts:
        raise SystemExit(f"no parts of {name}")
    file.write_bytes(b"".join(p.read_bytes() for p in parts))


class Carried:
    """Sprites in their own colours as PNG files: all that `sprites.build` needs, without npm and without cairo."""

    def __init__(self, folder: Path):
        self.folder = folder

    def read(self, thing, style: str) -> np.ndarray | None:
        path = self.folder / f"{thing.name.replace(' ', '_')}-{style}.png"
        return np.asarray(Image.open(path), np.float32) / 255 if path.exists() else None


def send(packages: Path, out: Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    sources, total = Sources(packages), 0
    for thing in THINGS:
        for style in STYLES:
            if (sprite := sources.read(thing, style)) is not None:
                path = out / f"{thing.name.replace(' ', '_')}-{style}.png"
                Image.fromarray(np.round(sprite * 255).astype(np.uint8)).save(path, optimize=True)
                total += path.stat().st_size
    print(f"{total / 2**20:.1f} MiB of sprites")


def _compose(job: tuple[Path, int, int, tuple[int, int]]) -> Path:
    work, number, count, shape = job
    return make_chunk(work, number, count, *shape)


def compose(work: Path, jobs: list[tuple[int, int, tuple[int, int]]]) -> None:
    begun = time.monotonic()
    todo = [(work, number, count, shape) for number, count, shape in jobs if not (chunk_path(work, number, *shape) / "words.json").exists()]
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(_compose, todo))
    print(f"{sum(j[2] for j in todo)} scenes in {time.monotonic() - begun:.0f} s", flush=True)


def trainer(module: str, minutes: float, log: Path, *arguments: object) -> None:
    """Runs a trainer for so many minutes, then asks it to save and leave."""
    with log.open("a") as file:
        process = subprocess.Popen([sys.executable, "-u", "-m", f"storybook.{module}", *map(str, arguments)], stdout=file, stderr=subprocess.STDOUT,
                                   cwd=Path(__file__).resolve().parents[1])
        try:
            process.wait(minutes * 60)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGTERM)
            process.wait(120)
    if process.returncode:
        raise SystemExit(f"{module} failed:\n{log.read_text()[-3000:]}")
    print(log.read_text()[-600:], flush=True)


def train(args: argparse.Namespace) -> None:
    work, out = args.work, args.out
    work.mkdir(parents=True, exist_ok=True)
    out.mkdir(parents=True, exist_ok=True)
    if not (work / "sprites.json").exists():
        build(args.carried, work, Carried(args.carried))
    if not (work / "tokenizer" / "vocab.json").exists():
        write(work / "tokenizer")
    if not (work / "vae.pt").exists() and args.file.exists():
        checkpoint.unpack(work, args.file, args.model)
        for name in ("vae.pt", "unet.pt"):  # minutes on a processor say nothing about a plan on a GPU
            if state := load(work / name, torch.device("cpu")):
                save(work / name, state | {"spent": 0.0})
    shapes = [SHAPES[1 + n // 4 % 2] if n % 4 == 3 else SHAPES[0] for n in range(args.chunks)]
    compose(work, [(HELD_OUT, min(256, args.count), SHAPES[0]), (0, args.count, SHAPES[0]), (1, args.count, SHAPES[0])]
            + [(2 + n, args.count, shape) for n, shape in enumerate(shapes)])
    if args.vae > 0:
        extra = ["--decoder-only"] if args.decoder_only else []
        trainer("train_vae", args.vae, out / "vae.log", "--work", work, "--minutes", args.vae_plan, "--batch", args.vae_batch, *extra)
        if not args.decoder_only:  # the encoder moved: latents and statistics with it
            (work / "latent_stats.pt").unlink(missing_ok=True)
            for old in (work / "chunks").glob("*/latents.npy"):
                old.unlink()
            (work / "unet.pt").unlink(missing_ok=True)
        shutil.copy(work / "vae.png", out / "vae.png")
    if args.unet > 0:
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        vae, tokenizer = load_vae(work, device)[0], Tokenizer(work / "tokenizer")
        for path in sorted((work / "chunks").iterdir()):
            encode_chunk(work, path, vae, tokenizer, device, keep_images=True)
        del vae
        trainer("train_unet", args.unet, out / "unet.log", "--work", work, "--minutes", args.unet_plan, "--batch", args.unet_batch, "--ema", args.ema,
                "--focus", args.focus, "--save-minutes", 1000, "--sample-minutes", 1000)
        shutil.copy(sorted((work / "samples").glob("*.png"))[-1], out / "samples.png")
    checkpoint.pack(work, work / "packed.safetensors", with_painter=True)
    split_file(work / "packed.safetensors", out)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("send", "train", "take"))
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path("out"))
    parser.add_argument("--carried", type=Path)
    parser.add_argument("--parts", type=Path)
    parser.add_argument("--file", type=Path, default=checkpoint.FILE)
    parser.add_argument("--model", type=Path, default=checkpoint.MODEL)
    parser.add_argument("--chunks", type=int, default=32)
    parser.add_argument("--count", type=int, default=1024, help="scenes a chunk")
    parser.add_argument("--vae", type=float, default=0, help="minutes of this command")
    parser.add_argument("--unet", type=float, default=0)
    parser.add_argument("--vae-plan", type=float, default=6)
    parser.add_argument("--unet-plan", type=float, default=16)
    parser.add_argument("--vae-batch", type=int, default=64)
    parser.add_argument("--unet-batch", type=int, default=256)
    parser.add_argument("--ema", type=float, default=0.998)
    parser.add_argument("--focus", type=float, default=0.5)
    parser.add_argument("--decoder-only", action="store_true")
    args = parser.parse_args()
    if args.what == "send":
        send(args.work / "packages", args.out)
    elif args.what == "train":
        train(args)
    else:
        args.work.mkdir(parents=True, exist_ok=True)
        join_parts(args.parts, "packed.safetensors", args.work / "packed.safetensors")
        checkpoint.unpack(args.work, args.work / "packed.safetensors", args.model)


if __name__ == "__main__":
    main()
