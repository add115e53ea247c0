"""Trains text encoder and UNet together on cached latents; resumes by itself from unet.pt.

v-prediction (Salimans & Ho 2022) on a zero-terminal-SNR schedule (Lin et al. 2023), weight min(snr+1, 6)/(snr+1)
(Min-SNR, Hang et al. 2023), caption dropout 10 %, localisation loss (TokenCompose), Muon for matrices and kernels,
AdamW for embeddings, norms, biases and the output layer.
"""
from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from .attention import localisation_loss
from .common import EMA, Clock, Stop, autocast, load, pick_device, rate, save, work_folder
from .evaluate.facts import held_out_scenes
from .fused import quicken
from .latents import load_vae
from .muon import Muon, split
from .networks import make_scheduler
from .samples import PROMPTS, decode, grid, make_painter, sample
from .scenes.captions import text_of
from .scenes.chunks import HELD_OUT, chunk_path
from .scenes.objects import BY_NAME
from .tokenizer import Tokenizer

PLAIN = ("embedding.weight", "embeddings", "conv_out", "text_model.embeddings")


class Shard:
    """One encoded chunk. `usable`: its rows but for those that the held-out prompts ask for."""

    def __init__(self, path: Path):
        self.latents = np.load(path / "latents.npy", mmap_mode="r")
        self.ids = np.load(path / "ids.npy")
        self.token_regions = np.load(path / "token_regions.npy")
        self.regions = np.load(path / "regions.npy", mmap_mode="r")
        facts = json.loads((path / "facts.json").read_text())
        reserved = held_out_scenes()
        words = json.loads((path / "words.json").read_text())
        self.usable = np.array([i for i, f in enumerate(facts) if not reserved.has(text_of(words[i]), f)])
        self.simple = np.array([i for i in self.usable if facts[i]["kind"] != "full" and all(BY_NAME[t["name"]].iconic for t in facts[i]["things"])])

    def draw(self, rng: np.random.Generator, count: int, focus: float) -> np.ndarray:
        """Rows of one batch: a share of about `focus` comes from scenes with iconic objects only."""
        simple = rng.choice(self.simple, min(int(rng.binomial(count, focus)), len(self.simple)), replace=False)
        return np.unique(np.concatenate([simple, rng.choice(self.usable, count - len(simple), replace=False)]))

    def take(self, rows: np.ndarray, device: torch.device) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """rows -> latents [B, 16, h, w], ids [B, 77], token_regions [B, 77], regions [B, 8, h, w]."""
        rows = np.sort(rows)
        return (torch.from_numpy(self.latents[rows].astype(np.float32)).to(device), torch.from_numpy(self.ids[rows]).long().to(device),
                torch.from_numpy(self.token_regions[rows]).long().to(device), torch.from_numpy(np.array(self.regions[rows])).to(device))


class Batches:
    """Random batches; the scenes of a batch share one shape, shapes are drawn by how many scenes have them."""

    def __init__(self, work: Path, seed: int, focus: float):
        self.focus, self.rng = focus, np.random.default_rng(seed)
        self.shapes: dict[tuple[int, ...], list[Shard]] = {}
        for path in sorted((work / "chunks").iterdir()):
            if (path / "latents.npy").exists() and int(path.name.split("-")[0]) < HELD_OUT:
                shard = Shard(path)
                self.shapes.setdefault(shard.latents.shape[2:], []).append(shard)
        if not self.shapes:
            raise SystemExit("no encoded chunks: run storybook.latents first")
        self.counts = {shape: sum(len(s.ids) for s in shards) for shape, shards in self.shapes.items()}

    @property
    def scenes(self) -> int:
        return sum(self.counts.values())

    def next(self, size: int, device: torch.device) -> tuple[Tensor, ...]:
        shapes = list(self.counts)
        weights = np.array([self.counts[s] for s in shapes], float)
        shards = self.shapes[shapes[int(self.rng.choice(len(shapes), p=weights / weights.sum()))]]
        parts, left = [], size
        share = -(-size // min(len(shards), 4))
        for i in self.rng.permutation(len(shards))[:4]:
            if left > 0:
                n = min(share, left)
                parts.append(shards[i].take(shards[i].draw(self.rng, n, self.focus), device))
                left -= n
        return tuple(torch.cat(column) for column in zip(*parts, strict=True))


class Noise:
    """The forward process: z_t = a z + s e, v = a e - s z."""

    def __init__(self, device: torch.device):
        alphas = make_scheduler().alphas_cumprod.to(device)
        self.a, self.s = alphas.sqrt(), (1 - alphas).sqrt()
        snr = alphas / (1 - alphas)
        self.weight = (snr + 1).clamp(max=6) / (snr + 1)

    def mix(self, z: Tensor, e: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        """-> z_t, v, both [B, 16, h, w]."""
        a, s = self.a[t][:, None, None, None], self.s[t][:, None, None, None]
        return a * z + s * e, a * e - s * z


@torch.no_grad()
def held_out(painter, work: Path, noise: Noise, device: torch.device, count: int = 64) -> tuple[float, float]:
    """Weighted v-loss on held-out scenes with fixed noise, and the mean share of attention inside the regions."""
    shard = Shard(chunk_path(work, HELD_OUT, 256, 256))
    count = min(count, len(shard.ids))
    z, ids, token_regions, regions = shard.take(np.arange(count), device)
    generator = torch.Generator().manual_seed(1)
    e = torch.randn(z.shape, generator=generator).to(device)
    t = ((torch.arange(count) + 0.5) / count * 1000).long().to(device)
    noisy, v = noise.mix(z, e, t)
    loss, shares = 0.0, []
    for i in range(0, count, 32):
        part = slice(i, i + 32)
        out = painter(noisy[part], t[part], ids[part], record=True).float()
        loss += float(((out - v[part]).square().mean((1, 2, 3)) * noise.weight[t[part]]).sum()) / count
        shares.append(float(localisation_loss(painter.tape.maps, regions[part], token_regions[part], torch.ones(len(out), dtype=torch.bool, device=device))[1]))
    painter.tape.maps = []
    return loss, float(np.mean(shares))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path)
    parser.add_argument("--minutes", type=float, default=60, help="planned training time in all, earlier runs included")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--lr", type=float, default=0.01)
    parser.add_argument("--adam-lr", type=float, default=2e-3)
    parser.add_argument("--decay", type=float, default=0.6, help="share of the planned minutes, at their end, in which the rates fall to zero")
    parser.add_argument("--ema", type=float, default=0.998)
    parser.add_argument("--steps", type=int, default=4, help="of Newton-Schulz")
    parser.add_argument("--drop", type=float, default=0.1, help="share of captions left out")
    parser.add_argument("--localise", type=float, default=0.02, help="weight of the localisation loss")
    parser.add_argument("--focus", type=float, default=0.0, help="share of draws from scenes with iconic objects only: for a young model")
    parser.add_argument("--save-minutes", type=float, default=6)
    parser.add_argument("--sample-minutes", type=float, default=12)
    args = parser.parse_args()
    work, device, stop = work_folder(args.work), pick_device(), Stop()
    torch.manual_seed(int(time.time()))
    tokenizer = Tokenizer(work / "tokenizer")
    painter = make_painter(tokenizer).to(device)
    quicken(painter.unet)
    if device.type == "cpu":
        painter.text.set_attn_implementation("eager")  # the backward of torch's flash attention is slow here: 7 % of an iteration
    matrices, rest = split(painter, PLAIN)
    optimizers = [Muon(matrices, lr=args.lr, steps=args.steps), torch.optim.AdamW(rest, lr=args.adam_lr, betas=(0.9, 0.98), weight_decay=0.0)]
    peaks, ema, iteration, clock = (args.lr, args.adam_lr), EMA(painter, args.ema), 0, Clock(args.minutes)
    state = load(work / "unet.pt", device)
    if state:
        painter.load_state_dict(state["model"])
        ema.shadow = state["ema"]
        iteration, clock = state["iteration"], Clock(args.minutes, state["spent"])
        for optimizer, saved in zip(optimizers, state["optimizers"] or (), strict=state["optimizers"] is not None):
            optimizer.load_state_dict(saved)
            for group in optimizer.param_groups:
                if "steps" in group:
                    group["steps"] = args.steps
        print(f"resumed at iteration {iteration}, {clock.spent / 60:.1f} minutes", flush=True)

    def checkpoint() -> None:
        save(work / "unet.pt", {"model": painter.state_dict(), "ema": ema.shadow, "optimizers": [o.state_dict() for o in optimizers],
                                "iteration": iteration, "spent": clock.spent, "batch": args.batch})

    def report() -> None:
        with ema.swapped(painter):
            loss, share = held_out(painter, work, noise, device)
        print(f"{iteration} held-out {loss:.4f} attention inside {share:.3f}", flush=True)

    def draw() -> None:
        vae, _ = load_vae(work, device)
        stats = torch.load(work / "latent_stats.pt", weights_only=True)
        with ema.swapped(painter):
            z = sample(painter, tokenizer, PROMPTS, 12, 4.0, 0, device)
        (work / "samples").mkdir(exist_ok=True)
        grid(decode(vae, z, stats["mean"], stats["std"]), PROMPTS).save(work / "samples" / f"{iteration:06d}.png")

    batches, noise = Batches(work, int(time.time()), args.focus), Noise(device)
    ids_empty = torch.from_numpy(tokenizer.encode([])[0]).long().to(device)
    print(f"{batches.scenes} scenes, {sum(p.numel() for p in painter.parameters()) / 1e6:.1f} M parameters", flush=True)
    saved = drawn = shown = time.monotonic()
    means: list[tuple[float, float, float]] = []
    while clock.progress < 1 and not stop.asked:
        share = rate(clock.progress, decay=args.decay)
        for optimizer, peak in zip(optimizers, peaks, strict=True):
            for group in optimizer.param_groups:
                group["lr"] = peak * share
        z, ids, token_regions, regions = batches.next(args.batch, device)
        dropped = torch.rand(len(z), device=device) < args.drop
        ids = torch.where(dropped[:, None], ids_empty, ids)
        t = ((torch.randperm(len(z), device=device) + torch.rand(len(z), device=device)) / len(z) * 1000).long().clamp(max=999)
        noisy, v = noise.mix(z, torch.randn_like(z), t)
        with autocast(device):
            out = painter(noisy, t, ids, record=args.localise > 0)
        loss = ((out.float() - v).square().mean((1, 2, 3)) * noise.weight[t]).mean()
        place, inside = localisation_loss(painter.tape.maps, regions, token_regions, ~dropped) if args.localise > 0 else (loss.new_zeros(()),) * 2
        (loss + args.localise * place).backward()
        painter.tape.maps = []
        torch.nn.utils.clip_grad_norm_(rest, 1.0)
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        iteration += 1
        ema.update(painter, iteration)
        means.append((loss.item(), place.item(), inside.item()))
        if iteration % 10 == 0:
            a, b, c = np.mean(means, axis=0)
            print(f"{iteration} loss {a:.4f} place {b:.3f} inside {c:.3f} lr {share:.2f} {(time.monotonic() - shown) / len(means):.2f} s/it {clock.spent / 60:.1f} min", flush=True)
            means, shown = [], time.monotonic()
        if iteration % 100 == 0:
            report()
            shown = time.monotonic()
        if time.monotonic() - saved > args.save_minutes * 60:
            checkpoint()
            batches, saved = Batches(work, int(time.time()), args.focus), time.monotonic()  # chunks encoded meanwhile join in
        if time.monotonic() - drawn > args.sample_minutes * 60:
            draw()
            drawn = shown = time.monotonic()
    checkpoint()
    report()
    draw()


if __name__ == "__main__":
    main()
