"""Trains the evaluator on scenes (never on generated pictures) and reports on scenes that it never saw.

    python -m storybook.evaluate.train --work WORK --minutes 20

Draws what the cache lacks first; resumes from WORK/evaluator.pt. Muon for kernels, AdamW for the rest.
"""
from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..common import EMA, Stop, autocast, load, pick_device, rate, save, work_folder
from ..muon import Muon, split
from .augment import spoil
from .drawing import SHARD, draw_shards
from .network import COLOURS, OBJECTS, WEIGHTS, Answers, Evaluator, store

PLAIN = ("to_", "embed", "fine.0.0")


class Shards:
    """The cache of drawn scenes; shards that appear while training runs join in."""

    def __init__(self, cache: Path, seed: int):
        self.cache, self.rng, self.seen, self.parts = cache, np.random.default_rng(seed), set(), []
        self.look()

    def look(self) -> None:
        for path in sorted(self.cache.glob("*.npz")):
            if path not in self.seen:
                self.seen.add(path)
                with np.load(path) as file:
                    self.parts.append({key: file[key] for key in file.files})

    def next(self, size: int) -> dict[str, Tensor]:
        """`size` random scenes: image [B, 128, 128, 3] u8 and the arrays of `drawing.labels`."""
        which = np.sort(self.rng.integers(0, len(self.parts) * SHARD, size))
        rows = [(self.parts[i // SHARD], i % SHARD) for i in which]
        return {key: torch.from_numpy(np.stack([part[key][i] for part, i in rows])) for key in self.parts[0]}


def densities(centres: Tensor, height: int, width: int) -> Tensor:
    """centres [B, C, 3] -> [B, C, h, w]: each a small hill of volume 1 (zero where slot is -1)."""
    ys, xs = torch.arange(height) + 0.5, torch.arange(width) + 0.5
    y = torch.exp(-0.5 * ((ys - centres[..., 1:2] * height) / 0.7) ** 2)
    x = torch.exp(-0.5 * ((xs - centres[..., 0:1] * width) / 0.7) ** 2)
    hill = y[..., :, None] * x[..., None, :]
    return hill / hill.sum((2, 3), keepdim=True).clamp(min=1e-6) * (centres[..., 2] >= 0)[..., None, None]


def loss_of(answers: Answers, things: Tensor, cover: Tensor, centres: Tensor, kind: Tensor) -> dict[str, Tensor]:
    """Terms of the loss. things [B, S, 3], cover [B, S, h, w] in 0..1, centres [B, C, 3], kind [B, 3]."""
    batch, slots, height, width = cover.shape
    used = things[..., 0] >= 0
    cover = cover * used[..., None, None]
    target = cover.new_zeros(batch, OBJECTS + 1, height, width)
    index = things[..., 0].clamp(min=0)[..., None, None].expand(-1, -1, height, width)
    target.scatter_add_(1, index, cover)
    target[:, OBJECTS] = (1 - cover.sum(1)).clamp(0, 1)
    logs = F.log_softmax(answers.objects.float(), 1)
    # Cells of things count threefold: most of a picture is backdrop.
    weight = 1 + 2 * cover.sum(1).clamp(0, 1)
    cells = (-(target * logs).sum(1) * weight).sum() / weight.sum()
    # Presence: the best cell of each object. Things that are all but hidden are neither there nor absent.
    best = logs[:, :OBJECTS].flatten(2).amax(2).exp().clamp(1e-5, 1 - 1e-5)
    there, ignored = torch.zeros_like(best), torch.zeros_like(best)
    visible = cover.flatten(2).amax(2) > 0.5
    rows = torch.arange(batch)[:, None].expand(-1, slots)
    there[rows[visible], things[..., 0][visible]] = 1
    hidden = used & ~visible
    ignored[rows[hidden], things[..., 0][hidden]] = 1
    presence = -(there * best.log() + (1 - there) * (1 - ignored) * (1 - best).log()).sum(1).mean()
    # Colour: of the cells that are mostly the thing's, read as the scorer reads it.
    share = cover / cover.sum((2, 3), keepdim=True).clamp(min=1e-3)
    pooled = torch.einsum("bshw,bchw->bsc", share, answers.colours.float())
    named = (things[..., 1] >= 0) & visible
    colour = F.cross_entropy(pooled[named], things[..., 1][named]) if named.any() else cells.new_zeros(())
    # Middles: a density per cell, and per thing its sum over what belongs to it.
    hills = densities(centres, height, width)
    density = hills.sum(1)
    middles = answers.middles.float()
    spot = (middles - density * (middles + 1e-4).log()).mean() * 30
    belongs = logs.exp().detach()
    sums = torch.einsum("bhw,bshw->bs", middles, belongs.gather(1, index))
    full = visible & (torch.stack([(centres[..., 2] == s).sum(1) for s in range(slots)], 1) == things[..., 2])
    count = F.l1_loss(sums[full], things[..., 2][full].float()) if full.any() else cells.new_zeros(())
    style, sky, ground = (F.cross_entropy(logits.float(), kind[:, i]) for i, logits in enumerate((answers.style, answers.sky, answers.ground)))
    return {"cells": cells, "presence": presence * 0.3, "colour": colour * 0.5, "spot": spot * 0.1, "count": count * 0.3,
            "style": style * 0.15, "sky": sky * 0.1, "ground": ground * 0.1}


def prepared(rows: dict[str, Tensor]) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """A batch of the cache as pictures [B, 3, H, W] in 0..1, things, cover, centres, kind."""
    pictures = rows["image"].permute(0, 3, 1, 2).float() / 255
    return pictures, rows["things"].long(), rows["cover"].float() / 255, rows["centres"], rows["kind"].long()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path)
    parser.add_argument("--minutes", type=float, default=20, help="of processor time in all, earlier runs included")
    parser.add_argument("--shards", type=int, default=40, help="of 512 scenes")
    parser.add_argument("--no-draw", action="store_true", help="take the shards that are there; others may be drawing")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--lr", type=float, default=0.01)
    parser.add_argument("--out", type=Path, default=WEIGHTS)
    args = parser.parse_args()
    work, device, stop = work_folder(args.work), pick_device(), Stop()
    if not args.no_draw:
        draw_shards(work, work / "evaluator", args.shards)
    torch.manual_seed(1)
    shards, generator = Shards(work / "evaluator", int(time.time())), torch.Generator().manual_seed(int(time.time()))
    model = Evaluator().to(device, memory_format=torch.channels_last)
    print(f"{sum(p.numel() for p in model.parameters()) / 1e6:.2f} M parameters, {len(shards.parts) * SHARD} scenes", flush=True)
    matrices, rest = split(model, PLAIN)
    optimizers = [Muon(matrices, lr=args.lr, steps=4), torch.optim.AdamW(rest, lr=2e-3, weight_decay=1e-4)]
    ema, iteration, before = EMA(model, 0.995), 0, 0.0
    state = load(work / "evaluator.pt", device)
    if state:
        model.load_state_dict(state["model"])
        ema.shadow, iteration, before = state["ema"], state["iteration"], state["spent"]
        for optimizer, kept in zip(optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(kept)
    begun = time.process_time()  # processor time: on a shared core the clock on the wall says little
    saved, terms = time.monotonic(), []

    def keep() -> None:
        save(work / "evaluator.pt", {"model": model.state_dict(), "ema": ema.shadow, "optimizers": [o.state_dict() for o in optimizers],
                                     "iteration": iteration, "spent": before + time.process_time() - begun})
        with ema.swapped(model):
            store(model, args.out, {"iterations": str(iteration), "batch": str(args.batch), "scenes": str(len(shards.parts) * SHARD)})

    while (progress := (before + time.process_time() - begun) / (args.minutes * 60)) < 1 and not stop.asked:
        share = rate(progress)
        for optimizer, peak in zip(optimizers, (args.lr, 2e-3), strict=True):
            for group in optimizer.param_groups:
                group["lr"] = peak * share
        pictures, things, cover, centres, kind = prepared(shards.next(args.batch))
        pictures, cover, centres = spoil(pictures, cover, centres, generator)
        with autocast(device):
            answers = model(pictures)
        parts = loss_of(answers, things, cover, centres, kind)
        sum(parts.values()).backward()
        torch.nn.utils.clip_grad_norm_(rest, 1.0)
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        iteration += 1
        ema.update(model, iteration)
        terms.append([float(v.detach()) for v in parts.values()])
        if iteration % 20 == 0:
            told = " ".join(f"{k} {v:.3f}" for k, v in zip(parts, np.mean(terms, axis=0), strict=True))
            spent = before + time.process_time() - begun
            print(f"{iteration} {told} lr {share:.2f} {spent / 60:.1f} min of processor, {spent / iteration:.2f} s/it", flush=True)
            terms = []
        if time.monotonic() - saved > 120:
            keep()
            shards.look()
            saved = time.monotonic()
    keep()


if __name__ == "__main__":
    main()
