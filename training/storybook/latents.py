"""Encodes chunks of scenes to unit-normal latents once; a chunk then is a few memory-mapped arrays."""
from __future__ import annotations

import argparse
import json
import os
from pathlib import Path

import numpy as np
import torch

from .common import load, pick_device, work_folder
from .networks import make_vae
from .scenes.chunks import HELD_OUT, SHAPES, chunk_path, make_chunk
from .scenes.compose import Mix
from .tokenizer import Tokenizer, write
from .train_vae import to_tensor


def load_vae(work: Path, device: torch.device):
    """The averaged VAE of the last checkpoint and its iteration."""
    state = load(work / "vae.pt", device)
    if state is None:
        raise SystemExit("no vae.pt: train the VAE first (storybook.train_vae)")
    vae = make_vae().to(device).eval().requires_grad_(False)
    vae.load_state_dict(state["ema"])
    return vae, state["iteration"]


@torch.no_grad()
def encode(vae, images: np.ndarray, device: torch.device, batch: int = 32) -> torch.Tensor:
    """[N, H, W, 3] u8 -> posterior means [N, 16, H/16, W/16], in f32 throughout."""
    out = []
    for i in range(0, len(images), batch):
        out.append(vae.encode(to_tensor(images[i:i + batch], device)).latent_dist.mode().cpu())
    return torch.cat(out)


def statistics(work: Path, vae, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """Per-channel mean and std [16] of latents. Frozen at the first call: the encoder must not change after it."""
    path = work / "latent_stats.pt"
    if not path.exists():
        chunk = next(p for p in sorted((work / "chunks").iterdir()) if int(p.name.split("-")[0]) < HELD_OUT and (p / "images.npy").exists())
        z = encode(vae, np.load(chunk / "images.npy", mmap_mode="r")[:768], device)
        torch.save({"mean": z.mean((0, 2, 3)), "std": z.std((0, 2, 3))}, path)
    stats = torch.load(path, weights_only=True)
    return stats["mean"], stats["std"]


def encode_chunk(work: Path, path: Path, vae, tokenizer: Tokenizer, device: torch.device, keep_images: bool) -> None:
    """Adds latents.npy [N, 16, h, w] f16, ids.npy [N, 77] i16 and token_regions.npy [N, 77] i8 to a chunk."""
    if (path / "latents.npy").exists():
        return
    mean, std = statistics(work, vae, device)
    z = encode(vae, np.load(path / "images.npy", mmap_mode="r"), device)
    z = (z - mean[:, None, None]) / std[:, None, None]
    pairs = [tokenizer.encode(words) for words in json.loads((path / "words.json").read_text())]
    np.save(path / "ids.npy", np.stack([ids for ids, _ in pairs]))
    np.save(path / "token_regions.npy", np.stack([regions for _, regions in pairs]))
    temporary = path / "latents.tmp.npy"
    np.save(temporary, z.numpy().astype(np.float16))
    os.replace(temporary, path / "latents.npy")
    if not keep_images:
        (path / "images.npy").unlink()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path)
    parser.add_argument("--first", type=int, default=2)
    parser.add_argument("--chunks", type=int, default=4)
    parser.add_argument("--count", type=int, default=2048, help="scenes a chunk")
    parser.add_argument("--iconic", type=float, default=0.15, help="share of draws from the 18 iconic objects; 0.5 for a model's first hours")
    parser.add_argument("--aspects", action="store_true", help="every fourth chunk is 384x256 or 256x384")
    args = parser.parse_args()
    work, device = work_folder(args.work), pick_device()
    if not (work / "tokenizer" / "vocab.json").exists():
        write(work / "tokenizer")
    vae, iteration = load_vae(work, device)
    tokenizer = Tokenizer(work / "tokenizer")
    print(f"VAE of iteration {iteration}", flush=True)
    encode_chunk(work, make_chunk(work, HELD_OUT, 256, 256, 256), vae, tokenizer, device, keep_images=True)
    for number in range(args.first, args.first + args.chunks):
        shape = SHAPES[1 + number // 4 % 2] if args.aspects and number % 4 == 3 else SHAPES[0]
        if (chunk_path(work, number, *shape) / "latents.npy").exists():
            continue
        encode_chunk(work, make_chunk(work, number, args.count, *shape, mix=Mix(iconic=args.iconic)), vae, tokenizer, device, keep_images=False)
        print(f"chunk {number} encoded", flush=True)


if __name__ == "__main__":
    main()
