"""One command for all stages: python -m storybook [--work DIR] [--vae-minutes N] [--unet-minutes N].

Every stage skips what is done and resumes what is half done, so the command may be killed and repeated at will.
"""
from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tarfile
from pathlib import Path

from .common import work_folder
from .scenes.chunks import HELD_OUT

PACKAGES = ("@lobehub/fluent-emoji-3d@1.1.0", "@iconify-json/fluent-emoji-flat@1.2.6")


def fetch(folder: Path) -> None:
    """The two sprite packages, through the ordinary npm client."""
    folder.mkdir(parents=True, exist_ok=True)
    if len(list(folder.glob("*.tgz"))) < len(PACKAGES):
        subprocess.run(["npm", "pack", *PACKAGES], cwd=folder, check=True)
    for archive in folder.glob("*.tgz"):
        target = folder / archive.stem
        if not target.exists():
            with tarfile.open(archive) as tar:
                tar.extractall(target, filter="data")


def stage(module: str, *arguments: object) -> None:
    print(f"== {module}", flush=True)
    subprocess.run([sys.executable, "-m", f"storybook.{module}", *map(str, arguments)], check=True,
                   cwd=Path(__file__).resolve().parents[1], env=os.environ)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path)
    parser.add_argument("--vae-minutes", type=float, default=240)
    parser.add_argument("--unet-minutes", type=float, default=1440)
    parser.add_argument("--vae-chunks", type=int, default=2)
    parser.add_argument("--chunks", type=int, default=16)
    parser.add_argument("--count", type=int, default=2048)
    args = parser.parse_args()
    work = work_folder(args.work).resolve()
    fetch(work / "packages")
    if not (work / "sprites.json").exists():
        stage("scenes.sprites", "--packages", work / "packages", "--cache", work, "--sheet", work / "sheet.png")
    stage("tokenizer", "--work", work)
    stage("scenes.chunks", "--work", work, "--first", HELD_OUT, "--chunks", 1, "--count", 256)
    stage("scenes.chunks", "--work", work, "--first", 0, "--chunks", args.vae_chunks, "--count", args.count)
    stage("train_vae", "--work", work, "--minutes", args.vae_minutes)
    stage("latents", "--work", work, "--first", args.vae_chunks, "--chunks", args.chunks, "--count", args.count, "--aspects")
    stage("train_unet", "--work", work, "--minutes", args.unet_minutes)
    stage("samples", "--work", work, "--out", work / "samples.png")
    stage("export", "--work", work)


if __name__ == "__main__":
    main()
