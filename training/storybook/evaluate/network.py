"""The evaluator: a small network that tells for each cell of a picture what is drawn there, and in which colour.

Presence, colour, count and position are all read from the same per-cell answers, so that "red" has to be the colour of
the very cells that are the car.
"""
from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from ..scenes.objects import COLOUR_NAMES, THINGS
from .drawing import GROUND, SKY, STYLE

WEIGHTS = Path(__file__).resolve().parents[2] / "checkpoints" / "evaluator.safetensors"
STRIDE = 8  # pixels of a cell, at the size that the network sees
OBJECTS, COLOURS = len(THINGS), len(COLOUR_NAMES)
WIDTHS = (24, 48, 112, 160)
FEATURES = 128


class Answers(NamedTuple):
    """h, w: cells, 16x16 for a square picture."""

    objects: Tensor  # [B, OBJECTS + 1, h, w] logits; the last is "nothing of the table"
    colours: Tensor  # [B, COLOURS, h, w] logits
    middles: Tensor  # [B, h, w] things whose middle lies in the cell, 0 or more
    style: Tensor  # [B, 4] logits
    sky: Tensor  # [B, 13] logits, the last: none
    ground: Tensor  # [B, 17] logits, the last: none
    features: Tensor  # [B, FEATURES], for distances between sets of pictures


def step(inputs: int, outputs: int, stride: int = 1, size: int = 3) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inputs, outputs, size, stride, size // 2, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True))


class Residual(nn.Module):
    def __init__(self, channels: int):
        super().__init__()
        self.first = step(channels, channels)
        self.second = nn.Sequential(nn.Conv2d(channels, channels, 3, 1, 1, bias=False), nn.BatchNorm2d(channels))

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(x + self.second(self.first(x)))


class Evaluator(nn.Module):
    """Pictures [B, 3, H, W] in 0..1, H and W multiples of 16, the shorter side 128 -> Answers."""

    def __init__(self) -> None:
        super().__init__()
        a, b, c, d = WIDTHS
        self.fine = nn.Sequential(step(3, a, 2), step(a, b, 2), Residual(b))  # [b, H/4, W/4]
        self.cells = nn.Sequential(step(b, c, 2), Residual(c), Residual(c))  # [c, H/8, W/8]
        self.wide = nn.Sequential(step(c, d, 2), Residual(d), Residual(d))  # [d, H/16, W/16]: sees the whole picture
        self.down = nn.Conv2d(d, c, 1)
        self.join = step(c, FEATURES)
        self.to_objects = nn.Conv2d(FEATURES, OBJECTS + 1, 1)
        self.to_colours = nn.Conv2d(FEATURES, COLOURS, 1)
        self.to_middles = nn.Conv2d(FEATURES, 1, 1)
        self.embed = nn.Linear(d + b + FEATURES, FEATURES)
        self.to_style = nn.Linear(FEATURES, len(STYLE))
        self.to_sky = nn.Linear(FEATURES, len(SKY))
        self.to_ground = nn.Linear(FEATURES, len(GROUND))

    def forward(self, pictures: Tensor) -> Answers:
        x = (pictures - 0.5) * 4
        fine = self.fine(x.contiguous(memory_format=torch.channels_last))
        cells = self.cells(fine)
        wide = self.wide(cells)
        joined = self.join(cells + F.interpolate(self.down(wide), scale_factor=2.0, mode="nearest"))
        # Style is in the edges and grain (fine), skies and grounds in the whole.
        features = F.relu(self.embed(torch.cat([wide.mean((2, 3)), fine.mean((2, 3)), joined.mean((2, 3))], 1)))
        return Answers(self.to_objects(joined), self.to_colours(joined), F.softplus(self.to_middles(joined))[:, 0],
                       self.to_style(features), self.to_sky(features), self.to_ground(features), features)


def store(model: Evaluator, path: Path, notes: dict[str, str]) -> None:
    """f16 safetensors; `notes` go into the header."""
    state = {k: v.half().contiguous() for k, v in model.state_dict().items() if v.is_floating_point()}
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(state, path, notes)
    path.chmod(0o644)


def recall(path: Path = WEIGHTS) -> Evaluator:
    """The trained evaluator, ready to read."""
    model = Evaluator()
    missing, unexpected = model.load_state_dict({k: v.float() for k, v in load_file(path).items()}, strict=False)
    if unexpected or any(not k.endswith("num_batches_tracked") for k in missing):
        raise SystemExit(f"{path.name} belongs to another evaluator: train it again (storybook.evaluate.train)")
    return model.eval().requires_grad_(False).to(memory_format=torch.channels_last)
