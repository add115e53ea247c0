"""Trains a ControlNet (Zhang et al. 2023) on the finished base model; resumes by itself from control-KIND.pt.

    python -m storybook.control.train --kind edges --minutes 40

The base (its averaged weights) does not move. The net begins with the base's down and middle blocks, its outputs with
zeros. Half of the captions are left out, so that it learns to follow the hint and not to wait for the words.
"""
from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import torch
from diffusers import ControlNetModel
from torch import Tensor

from ..common import EMA, Clock, Stop, autocast, load, pick_device, rate, save, work_folder
from ..fused import quicken
from ..muon import Muon, split
from ..networks import CHANNELS, WIDTH
from ..samples import make_painter
from ..tokenizer import Tokenizer
from ..train_unet import Noise, Shard
from .hints import KINDS

PLAIN = ("conv_in", "controlnet_cond_embedding", "controlnet_down_blocks", "controlnet_mid_block")


def make_net() -> ControlNetModel:
    """5.2 M parameters, 10.5 MB in f16: text is read in the middle only; sixteenths of the hint's pixels are cells."""
    return ControlNetModel(
        in_channels=CHANNELS, conditioning_channels=3, down_block_types=("DownBlock2D",) * 3, mid_block_type="UNetMidBlock2DCrossAttn",
        block_out_channels=(64, 128, 240), layers_per_block=1, cross_attention_dim=WIDTH, attention_head_dim=[2, 4, 6], norm_num_groups=16,
        use_linear_projection=True, conditioning_embedding_out_channels=(16, 24, 32, 48, 64),
    )


def begin_with(net: ControlNetModel, unet: torch.nn.Module) -> None:
    """Takes over what the base has of the same name and shape (its attention in the down blocks has no place here)."""
    own, theirs = net.state_dict(), unet.state_dict()
    net.load_state_dict({k: theirs[k] if k in theirs and theirs[k].shape == v.shape else v for k, v in own.items()})


class HintShard(Shard):
    def __init__(self, path: Path, kind: str):
        super().__init__(path)
        self.hints = np.load(path / f"hints-{kind}.npy", mmap_mode="r")

    def shown(self, rows: np.ndarray) -> Tensor:
        """[B, 3, H, W] in 0..1, as the engine hands hints over."""
        x = torch.from_numpy(np.array(self.hints[np.sort(rows)])).float() / 255
        return x[:, None].repeat(1, 3, 1, 1) if x.ndim == 3 else x.permute(0, 3, 1, 2).contiguous()


def predict(painter, net: ControlNetModel, noisy: Tensor, t: Tensor, ids: Tensor, shown: Tensor) -> Tensor:
    """-> v [B, 16, h, w]."""
    with torch.no_grad():
        states = painter.text(ids)[0]
    down, mid = net(noisy, t, encoder_hidden_states=states, controlnet_cond=shown, return_dict=False)
    return painter.unet(noisy, t, encoder_hidden_states=states, down_block_additional_residuals=down, mid_block_additional_residual=mid).sample


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path)
    parser.add_argument("--kind", choices=KINDS, required=True)
    parser.add_argument("--minutes", type=float, default=40, help="planned training time in all, earlier runs included")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--lr", type=float, default=0.005)
    parser.add_argument("--adam-lr", type=float, default=1e-3)
    parser.add_argument("--drop", type=float, default=0.5, help="share of captions left out")
    args = parser.parse_args()
    work, device, stop = work_folder(args.work), pick_device(), Stop()
    torch.manual_seed(int(time.time()))
    tokenizer = Tokenizer(work / "tokenizer")
    painter = make_painter(tokenizer).to(device)
    base = load(work / "unet.pt", device)
    if base is None:
        raise SystemExit("no unet.pt: train the base model, or unpack it (storybook.checkpoint)")
    painter.load_state_dict(base["ema"])
    painter.requires_grad_(False).eval()
    net = make_net().to(device)
    begin_with(net, painter.unet)
    for module in (painter.unet, net):
        quicken(module)
    if device.type == "cpu":
        painter.text.set_attn_implementation("eager")
    matrices, rest = split(net, PLAIN)
    optimizers = [Muon(matrices, lr=args.lr, steps=4), torch.optim.AdamW(rest, lr=args.adam_lr, betas=(0.9, 0.98), weight_decay=0.0)]
    ema, iteration, clock = EMA(net, 0.995), 0, Clock(args.minutes)
    file = work / f"control-{args.kind}.pt"
    state = load(file, device)
    if state:
        net.load_state_dict(state["model"])
        ema.shadow, iteration, clock = state["ema"], state["iteration"], Clock(args.minutes, state["spent"])
        for optimizer, saved in zip(optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
        print(f"resumed at iteration {iteration}, {clock.spent / 60:.1f} minutes", flush=True)
    shards = [HintShard(p, args.kind) for p in sorted((work / "chunks").iterdir()) if (p / f"hints-{args.kind}.npy").exists()]
    if not shards:
        raise SystemExit("no chunks with hints: run storybook.control.chunks first")
    print(f"{sum(len(s.usable) for s in shards)} scenes, {sum(p.numel() for p in net.parameters()) / 1e6:.1f} M parameters", flush=True)
    noise, rng = Noise(device), np.random.default_rng(int(time.time()))
    ids_empty = torch.from_numpy(tokenizer.encode([])[0]).long().to(device)

    def checkpoint() -> None:
        save(file, {"model": net.state_dict(), "ema": ema.shadow, "optimizers": [o.state_dict() for o in optimizers], "iteration": iteration, "spent": clock.spent})

    saved = shown_at = time.monotonic()
    losses: list[tuple[float, float]] = []
    while clock.progress < 1 and not stop.asked:
        share = rate(clock.progress, decay=0.5)
        for optimizer, peak in zip(optimizers, (args.lr, args.adam_lr), strict=True):
            for group in optimizer.param_groups:
                group["lr"] = peak * share
        shard = shards[int(rng.integers(len(shards)))]
        rows = shard.draw(rng, args.batch, 0.0)
        z, ids, _, _ = shard.take(rows, device)
        shown = shard.shown(rows).to(device)
        ids = torch.where((torch.rand(len(z), device=device) < args.drop)[:, None], ids_empty, ids)
        t = ((torch.randperm(len(z), device=device) + torch.rand(len(z), device=device)) / len(z) * 1000).long().clamp(max=999)
        noisy, v = noise.mix(z, torch.randn_like(z), t)
        with autocast(device):
            out = predict(painter, net, noisy, t, ids, shown)
        loss = ((out.float() - v).square().mean((1, 2, 3)) * noise.weight[t]).mean()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(rest, 1.0)
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        iteration += 1
        ema.update(net, iteration)
        if iteration % 20 == 1:
            # What the base alone would lose on the same batch: the net must fall below it.
            with torch.no_grad(), autocast(device):
                alone = painter(noisy, t, ids).float()
            losses.append((loss.item(), ((alone - v).square().mean((1, 2, 3)) * noise.weight[t]).mean().item()))
            print(f"{iteration} loss {losses[-1][0]:.4f} base alone {losses[-1][1]:.4f} lr {share:.2f} "
                  f"{(time.monotonic() - shown_at) / (1 if iteration == 1 else 20):.2f} s/it {clock.spent / 60:.1f} min", flush=True)
            shown_at = time.monotonic()
        if time.monotonic() - saved > 360:
            checkpoint()
            saved = time.monotonic()
    checkpoint()


if __name__ == "__main__":
    main()
