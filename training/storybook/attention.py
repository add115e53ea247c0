"""The localisation loss: a caption word's cross-attention should lie inside the region that the word names.

TokenCompose (Wang et al. 2023): for a word with a region, the share of its attention mass inside the region,
over all cross-attention layers; (1 - share)^2, averaged. It makes the maps honest, and it costs nothing at use.
"""
from __future__ import annotations

import torch
import torch.nn.functional as F
from diffusers import UNet2DConditionModel
from torch import Tensor, nn


class Tape:
    """Collects, during one forward pass, the head-averaged probabilities of every cross-attention layer."""

    def __init__(self) -> None:
        self.maps: list[Tensor] = []  # [B, positions, tokens] each
        self.on = False


class Recorded:
    """diffusers attention processor: keeps cross-attention probabilities while the tape is on."""

    def __init__(self, tape: Tape):
        self.tape = tape

    def __call__(self, attn, hidden_states: Tensor, encoder_hidden_states: Tensor | None = None, attention_mask: Tensor | None = None, **_: object) -> Tensor:
        """hidden_states [B, HW, C], encoder_hidden_states [B, T, D] -> [B, HW, C]."""
        source = hidden_states if encoder_hidden_states is None else encoder_hidden_states
        batch, heads = len(hidden_states), attn.heads
        q, k, v = (x.view(batch, -1, heads, x.shape[-1] // heads).transpose(1, 2)
                   for x in (attn.to_q(hidden_states), attn.to_k(source), attn.to_v(source)))
        if encoder_hidden_states is not None and self.tape.on:
            probabilities = ((q @ k.transpose(-1, -2)) * attn.scale).float().softmax(-1)
            self.tape.maps.append(probabilities.mean(1))
            out = probabilities.to(v.dtype) @ v
        elif q.is_cuda:
            out = F.scaled_dot_product_attention(q, k, v)
        else:  # torch's flash attention is slow on processors: its bf16 backward took a fifth of an iteration
            out = ((q * attn.scale) @ k.transpose(-1, -2)).softmax(-1).to(v.dtype) @ v
        out = out.transpose(1, 2).reshape(batch, -1, heads * v.shape[-1])
        return attn.to_out[0](out)


def install(unet: UNet2DConditionModel) -> Tape:
    tape = Tape()
    unet.set_attn_processor({name: Recorded(tape) for name in unet.attn_processors})
    return tape


def localisation_loss(maps: list[Tensor], regions: Tensor, token_regions: Tensor, keep: Tensor) -> tuple[Tensor, Tensor]:
    """maps: [B, h*w, T] each; regions u8 [B, R, H, W]; token_regions [B, T] (-1: none); keep [B] (caption not dropped).

    Returns the loss and the mean share of attention inside the regions.
    """
    batch, rows = regions.shape[:2]
    height, width = regions.shape[2:]
    coverage = regions.float() / 255
    peak = coverage.flatten(2).amax(-1)[:, :, None, None]
    inside = ((coverage > 0.25) | ((coverage >= 0.5 * peak) & (peak > 0.02))).float()
    named = (token_regions >= 0) & keep[:, None]
    named &= inside.flatten(2).amax(-1).gather(1, token_regions.clamp(min=0)) > 0
    pick = F.one_hot(token_regions.clamp(min=0), rows).float() * named[..., None]  # [B, T, R]
    total, share_total = maps[0].new_zeros(()), maps[0].new_zeros(())
    count = named.sum().clamp(min=1)
    for probabilities in maps:
        factor = round((height * width / probabilities.shape[1]) ** 0.5)
        mask = F.max_pool2d(inside, factor) if factor > 1 else inside
        per_region = torch.bmm(mask.flatten(2), probabilities)  # [B, R, T]: mass of each token in each region
        share = (per_region.transpose(1, 2) * pick).sum(-1) / (probabilities.sum(1) + 1e-6)
        total = total + ((1 - share).square() * named).sum() / count
        share_total = share_total + (share.detach() * named).sum() / count
    return total / len(maps), share_total / len(maps)


class Painter(nn.Module):
    """Text encoder and UNet as one module: one EMA, one checkpoint."""

    def __init__(self, text: nn.Module, unet: UNet2DConditionModel):
        super().__init__()
        self.text, self.unet = text, unet
        self.tape = install(unet)

    def forward(self, noisy: Tensor, steps: Tensor, ids: Tensor, record: bool = False) -> Tensor:
        """noisy [B, 16, h, w], steps [B], ids [B, 77] -> v [B, 16, h, w]."""
        self.tape.on, self.tape.maps = record, []
        return self.unet(noisy, steps, encoder_hidden_states=self.text(ids)[0]).sample
