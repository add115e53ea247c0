"""Trains the AutoencoderKL on crops of scenes; resumes by itself from vae.pt.

Loss: L1 + edges at two scales (finite differences: crisp borders without a perceptual network) + a tiny KL
(1.6e-3 collapsed channels in the trial; 1e-6 keeps all sixteen alive). The decoder sees slightly noised latents
half of the time, because what it will get from the UNet is never exact.
"""
from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from .common import EMA, Clock, Stop, autocast, load, pick_device, rate, save, work_folder
from .fused import quicken
from .muon import Muon, split
from .networks import make_vae
from .scenes.chunks import HELD_OUT, chunk_path

PLAIN = ("encoder.conv_in", "decoder.conv_out")


def to_tensor(images: np.ndarray, device: torch.device) -> Tensor:
    """[B, H, W, 3] u8 -> [B, 3, H, W] in -1..1, channels last in memory."""
    return torch.from_numpy(np.array(images)).to(device).permute(0, 3, 1, 2).float() / 127.5 - 1


class Crops:
    """Random crops; of two candidates the livelier one is taken more often, since most of a sky is easy."""

    def __init__(self, work: Path, crop: int, seed: int):
        self.arrays = [np.load(p / "images.npy", mmap_mode="r") for p in sorted((work / "chunks").iterdir())
                       if (p / "words.json").exists() and int(p.name.split("-")[0]) < HELD_OUT]
        self.crop, self.rng = crop, np.random.default_rng(seed)

    def one(self) -> np.ndarray:
        array = self.arrays[int(self.rng.integers(len(self.arrays)))]
        picture = array[int(self.rng.integers(len(array)))]
        best, life = None, -1.0
        for _ in range(2 if self.rng.random() < 0.7 else 1):
            y = int(self.rng.integers(0, picture.shape[0] - self.crop + 1))
            x = int(self.rng.integers(0, picture.shape[1] - self.crop + 1))
            part = picture[y:y + self.crop, x:x + self.crop]
            small = part[::3, ::3, 1].astype(np.int16)
            score = float(np.abs(np.diff(small, axis=0)).mean() + np.abs(np.diff(small, axis=1)).mean())
            if score > life:
                best, life = part, score
        return best[:, ::-1] if self.rng.random() < 0.5 else best

    def batch(self, size: int) -> np.ndarray:
        return np.stack([self.one() for _ in range(size)])


def edges(a: Tensor, b: Tensor) -> Tensor:
    """L1 between the finite differences of two pictures [B, 3, H, W], at full and half size."""
    total = a.new_zeros(())
    for _ in range(2):
        total = total + (a.diff(dim=2) - b.diff(dim=2)).abs().mean() + (a.diff(dim=3) - b.diff(dim=3)).abs().mean()
        a, b = F.avg_pool2d(a, 2), F.avg_pool2d(b, 2)
    return total


@torch.no_grad()
def evaluate(vae, images: np.ndarray, device: torch.device, grid: Path | None) -> tuple[float, Tensor]:
    """Mean PSNR on held-out scenes and each latent channel's std [16]; writes originals above reconstructions."""
    scores, latents, shown = [], [], []
    for i in range(0, len(images), 8):
        x = to_tensor(images[i:i + 8], device)
        z = vae.encode(x).latent_dist.mode()
        y = vae.decode(z).sample.clamp(-1, 1)
        scores += (10 * torch.log10(4 / (x - y).square().mean((1, 2, 3)))).tolist()
        latents.append(z)
        if len(shown) < 1:
            shown.append(torch.cat([torch.cat(list(x), -1), torch.cat(list(y), -1)], -2))
    if grid:
        Image.fromarray(((shown[0].permute(1, 2, 0).cpu().numpy() + 1) * 127.5).round().astype(np.uint8)).save(grid)
    return float(np.mean(scores)), torch.cat(latents).std((0, 2, 3)).cpu()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path)
    parser.add_argument("--minutes", type=float, default=40, help="planned training time in all, earlier runs included")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--crop", type=int, default=128)
    parser.add_argument("--lr", type=float, default=0.01)
    parser.add_argument("--adam-lr", type=float, default=2e-3)
    parser.add_argument("--edge", type=float, default=0.8)
    parser.add_argument("--kl", type=float, default=1e-6)
    parser.add_argument("--decoder-only", action="store_true", help="the encoder stays: latents already cached and the UNet stay valid")
    parser.add_argument("--save-minutes", type=float, default=5)
    args = parser.parse_args()
    work, device, stop = work_folder(args.work), pick_device(), Stop()
    torch.manual_seed(int(time.time()))
    vae = quicken(make_vae().to(device))
    if args.decoder_only:
        vae.encoder.requires_grad_(False)
        vae.quant_conv.requires_grad_(False)
    matrices, rest = split(vae, PLAIN)
    matrices, rest = [p for p in matrices if p.requires_grad], [p for p in rest if p.requires_grad]
    optimizers = [Muon(matrices, lr=args.lr), torch.optim.AdamW(rest, lr=args.adam_lr, betas=(0.9, 0.98), weight_decay=0.0)]
    peaks = (args.lr, args.adam_lr)
    ema, iteration, clock = EMA(vae, 0.998), 0, Clock(args.minutes)
    state = load(work / "vae.pt", device)
    if state:
        vae.load_state_dict(state["model"])
        ema.shadow = state["ema"]
        iteration, clock = state["iteration"], Clock(args.minutes, state["spent"])
        if state["optimizers"] and state["decoder_only"] == args.decoder_only:
            for optimizer, saved in zip(optimizers, state["optimizers"], strict=True):
                optimizer.load_state_dict(saved)
        print(f"resumed at iteration {iteration}, {clock.spent / 60:.1f} minutes", flush=True)

    def checkpoint() -> None:
        save(work / "vae.pt", {"model": vae.state_dict(), "ema": ema.shadow, "optimizers": [o.state_dict() for o in optimizers],
                               "iteration": iteration, "spent": clock.spent, "decoder_only": args.decoder_only})

    crops = Crops(work, args.crop, seed=int(time.time()))
    held = np.load(chunk_path(work, HELD_OUT, 256, 256) / "images.npy", mmap_mode="r")[:24]
    saved, shown, means = time.monotonic(), time.monotonic(), []
    while clock.progress < 1 and not stop.asked:
        share = rate(clock.progress)
        for optimizer, peak in zip(optimizers, peaks, strict=True):
            for group in optimizer.param_groups:
                group["lr"] = peak * share
        x = to_tensor(crops.batch(args.batch), device)
        with autocast(device):
            posterior = vae.encode(x).latent_dist
            z = posterior.sample()
            noise = torch.randn_like(z) * z.detach().std((0, 2, 3), keepdim=True) * 0.06
            z = z + noise * (torch.rand(len(z), 1, 1, 1, device=device) < 0.5)
            y = vae.decode(z).sample
        y = y.float()
        picture, edge, kl = (x - y).abs().mean(), edges(x, y), posterior.kl().sum() / x.numel()
        (picture + args.edge * edge + args.kl * kl).backward()
        torch.nn.utils.clip_grad_norm_(rest, 1.0)
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        iteration += 1
        ema.update(vae, iteration)
        means.append((picture.item(), edge.item(), kl.item()))
        if iteration % 20 == 0:
            a, b, c = np.mean(means, axis=0)
            seconds = (time.monotonic() - shown) / len(means)
            print(f"{iteration} L1 {a:.4f} edges {b:.4f} kl {c:.1f} lr {share:.2f} {seconds:.2f} s/it {clock.spent / 60:.1f} min", flush=True)
            means, shown = [], time.monotonic()
        if iteration % 200 == 0 or (iteration in (50, 100)):
            with ema.swapped(vae):
                psnr, spread = evaluate(vae, held, device, work / "vae.png")
            print(f"{iteration} held-out PSNR {psnr:.2f} dB, channel std {spread.min():.2f}..{spread.max():.2f}", flush=True)
            shown = time.monotonic()
        if time.monotonic() - saved > args.save_minutes * 60:
            checkpoint()
            saved = time.monotonic()
    checkpoint()
    with ema.swapped(vae):
        psnr, spread = evaluate(vae, held, device, work / "vae.png")
    print(f"done at {iteration}: held-out PSNR {psnr:.2f} dB, channel std {[round(s, 2) for s in spread.tolist()]}", flush=True)


if __name__ == "__main__":
    main()
