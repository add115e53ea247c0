"""Draws a grid of fixed prompts from a checkpoint: 12 DDIM steps, guidance 4, its own short sampler."""
from __future__ import annotations

import argparse
import textwrap
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import Tensor

from .attention import Painter
from .common import load, pick_device, work_folder
from .latents import load_vae
from .networks import CHANNELS, make_scheduler, make_text_encoder, make_unet
from .tokenizer import Tokenizer

PROMPTS = (
    "a red car under a blue sky", "a cat on a surfboard", "a mountain", "a red car and a blue house on the grass",
    "a dog in the snow", "a green tree", "a yellow house at sunset", "a black cat on the road",
    "two balloons under a cloudy sky", "a sailboat on the sea", "a watercolor painting of a red tulip", "a castle at night",
    "a white rabbit in a meadow", "a blue car in the desert", "an orange cat left of a tree", "a pencil sketch of a house",
)


def make_painter(tokenizer: Tokenizer) -> Painter:
    return Painter(make_text_encoder(len(tokenizer.vocabulary), tokenizer.start, tokenizer.end), make_unet())


def plain_words(prompt: str) -> list[tuple[str, int]]:
    return [(w, -1) for w in prompt.replace(",", " , ").split()]


@torch.no_grad()
def sample(painter: Painter, tokenizer: Tokenizer, prompts: tuple[str, ...], steps: int, guidance: float, seed: int, device: torch.device,
           size: tuple[int, int] = (16, 16)) -> Tensor:
    """Prompts -> unit-normal latents [N, 16, h, w] by deterministic DDIM on v-predictions."""
    alphas = make_scheduler().alphas_cumprod.to(device)
    ids = torch.from_numpy(np.stack([tokenizer.encode(plain_words(p))[0] for p in prompts] + [tokenizer.encode([])[0]] * len(prompts))).long().to(device)
    z = torch.randn((len(prompts), CHANNELS, *size), generator=torch.Generator().manual_seed(seed)).to(device)
    times = [round(1000 - i * 1000 / steps) - 1 for i in range(steps)]
    for i, t in enumerate(times):
        v = painter(torch.cat([z, z]), torch.full((2 * len(z),), t, device=device), ids).float()
        words, nothing = v.chunk(2)
        v = nothing + guidance * (words - nothing)
        a, s = alphas[t].sqrt(), (1 - alphas[t]).sqrt()
        clean, noise = a * z - s * v, a * v + s * z
        after = alphas[times[i + 1]] if i + 1 < steps else torch.ones((), device=device)
        z = after.sqrt() * clean + (1 - after).sqrt() * noise
    return z


@torch.no_grad()
def decode(vae, z: Tensor, mean: Tensor, std: Tensor) -> np.ndarray:
    """Unit-normal latents -> pictures [N, H, W, 3] u8."""
    x = vae.decode(z * std[:, None, None].to(z) + mean[:, None, None].to(z)).sample.clamp(-1, 1)
    return ((x.permute(0, 2, 3, 1).cpu().numpy() + 1) * 127.5).round().astype(np.uint8)


def grid(pictures: np.ndarray, captions: tuple[str, ...], columns: int = 4) -> Image.Image:
    height, width = pictures.shape[1:3]
    sheet = Image.new("RGB", (columns * (width + 4), -(-len(pictures) // columns) * (height + 30)), "white")
    pen = ImageDraw.Draw(sheet)
    for i, (picture, caption) in enumerate(zip(pictures, captions, strict=False)):
        x, y = (i % columns) * (width + 4), (i // columns) * (height + 30)
        sheet.paste(Image.fromarray(picture), (x, y))
        pen.text((x + 2, y + height + 1), "\n".join(textwrap.wrap(caption, 42)[:2]), fill="black")
    return sheet


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--guidance", type=float, default=4.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--prompt", action="append")
    parser.add_argument("--size", type=int, nargs=2, default=(256, 256), metavar=("HEIGHT", "WIDTH"))
    args = parser.parse_args()
    work, device = work_folder(args.work), pick_device()
    tokenizer, prompts = Tokenizer(work / "tokenizer"), tuple(args.prompt or PROMPTS)
    painter = make_painter(tokenizer).to(device).eval()
    state = load(work / "unet.pt", device)
    if state is None:
        raise SystemExit("no unet.pt: train first (storybook.train_unet)")
    painter.load_state_dict(state["ema"])
    vae, _ = load_vae(work, device)
    stats = torch.load(work / "latent_stats.pt", weights_only=True)
    z = sample(painter, tokenizer, prompts, args.steps, args.guidance, args.seed, device, (args.size[0] // 16, args.size[1] // 16))
    grid(decode(vae, z, stats["mean"], stats["std"]), prompts).save(args.out)
    print(f"iteration {state['iteration']} -> {args.out.name}")


if __name__ == "__main__":
    main()
