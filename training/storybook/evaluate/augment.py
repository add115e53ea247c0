"""Spoils scenes mildly, so that the evaluator does not lean on what only scenes have: crisp edges, exact tones, places."""
from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def move(pictures: Tensor, cover: Tensor, centres: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Shifts and scales each scene a little, cells and middles with it.

    pictures [B, 3, H, W]; cover [B, S, h, w]; centres [B, C, 3], x and y in 0..1, slot -1 for none (also once outside).
    """
    batch = len(pictures)
    scale = torch.empty(batch, 2).uniform_(0.88, 1.14, generator=generator)
    shift = torch.empty(batch, 2).uniform_(-0.12, 0.12, generator=generator)  # in -1..1 coordinates
    theta = torch.zeros(batch, 2, 3)
    theta[:, 0, 0], theta[:, 1, 1], theta[:, :, 2] = scale[:, 0], scale[:, 1], shift
    grid = F.affine_grid(theta, [batch, 3, *pictures.shape[2:]], align_corners=False)
    pictures = F.grid_sample(pictures, grid, mode="bilinear", padding_mode="border", align_corners=False)
    cells = F.affine_grid(theta, [batch, 3, *cover.shape[2:]], align_corners=False)
    cover = F.grid_sample(cover, cells, mode="bilinear", padding_mode="zeros", align_corners=False)
    places = ((centres[..., :2] * 2 - 1 - shift[:, None]) / scale[:, None] + 1) / 2
    outside = ((places < 0) | (places >= 1)).any(-1)
    slot = torch.where(outside, -1.0, centres[..., 2])
    return pictures, cover, torch.cat([places, slot[..., None]], -1)


def tint(pictures: Tensor, generator: torch.Generator) -> Tensor:
    """Light, contrast and warmth, within what leaves a colour its name."""
    batch = len(pictures)
    gain = torch.empty(batch, 3, 1, 1).uniform_(0.95, 1.05, generator=generator) * torch.empty(batch, 1, 1, 1).uniform_(0.9, 1.1, generator=generator)
    offset = torch.empty(batch, 1, 1, 1).uniform_(-0.04, 0.04, generator=generator)
    grey = pictures.mean(1, keepdim=True)
    saturation = torch.empty(batch, 1, 1, 1).uniform_(0.85, 1.1, generator=generator)
    return (grey + (pictures - grey) * saturation) * gain + offset


def soften(pictures: Tensor, generator: torch.Generator) -> Tensor:
    """Blur for half of the scenes, low resolution (as a strong JPEG or a weak decoder leaves it) for a fifth, noise."""
    batch = len(pictures)
    half = F.avg_pool2d(F.pad(pictures, (1, 1, 1, 1), mode="replicate"), 3, 1)
    amount = torch.rand(batch, 1, 1, 1, generator=generator) * 2 - 1
    pictures = pictures + (half - pictures) * amount.clamp(min=0)
    chosen = torch.nonzero(torch.rand(batch, generator=generator) < 0.2)[:, 0]
    if len(chosen):
        low = F.avg_pool2d(pictures[chosen], 2)
        pictures[chosen] = F.interpolate(low, scale_factor=2.0, mode="bilinear", align_corners=False)
    strength = torch.rand(batch, 1, 1, 1, generator=generator) * 0.03
    return pictures + torch.randn(pictures.shape, generator=generator) * strength


def spoil(pictures: Tensor, cover: Tensor, centres: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    pictures, cover, centres = move(pictures, cover, centres, generator)
    return soften(tint(pictures, generator), generator).clamp(0, 1), cover, centres
