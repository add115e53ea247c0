"""Reads pictures with the evaluator: what is where, in which colour, how often; style, sky and ground."""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F

from ..scenes.compose import STYLE_NAMES
from ..scenes.objects import COLOUR_NAMES, THINGS
from .drawing import GROUND, OBJECT, SIDE, SKY
from .network import Evaluator

PRESENT = 0.5  # the best cell of a thing that is there is more probably its than anything else's
SKY_NAMES, GROUND_NAMES = list(SKY), list(GROUND)


@dataclass(frozen=True)
class Reading:
    """One picture. h, w: 16x16 for a square one, 16x24 for a wide one."""

    cells: np.ndarray  # [OBJECTS, h, w] f16: the probability that a cell shows this object
    colours: np.ndarray  # [COLOURS, h, w] f16 logits
    middles: np.ndarray  # [h, w] f16: things whose middle lies in the cell
    style: str
    sky: str
    ground: str
    features: np.ndarray  # [FEATURES] f32

    def heat(self, name: str) -> np.ndarray:
        """[h, w] f32 in 0..1: where the object is."""
        return self.cells[OBJECT[name]].astype(np.float32)

    def presence(self, name: str) -> float:
        return float(self.cells[OBJECT[name]].max())

    def present(self) -> list[str]:
        """Every object of the table that is there."""
        return [t.name for t, p in zip(THINGS, self.cells.max((1, 2)), strict=True) if p > PRESENT]

    def colour(self, name: str) -> str:
        """The colour of the cells that are this object's."""
        heat = self.heat(name)
        logits = (self.colours.astype(np.float32) * heat).sum((1, 2)) / max(float(heat.sum()), 1e-6)
        return COLOUR_NAMES[int(logits.argmax())]

    def count(self, name: str) -> int:
        """How many of it there are; 0 when it is not there."""
        if self.presence(name) <= PRESENT:
            return 0
        return max(1, round(float((self.middles.astype(np.float32) * self.heat(name)).sum())))

    def place(self, name: str) -> tuple[float, float, float]:
        """x and y of its middle and y of its lower end, in 0..1 of the picture."""
        heat = self.heat(name)
        heat = np.where(heat > 0.25 * heat.max(), heat, 0)
        height, width = heat.shape
        rows, columns = heat.sum(1), heat.sum(0)
        total = max(float(heat.sum()), 1e-6)
        ys, xs = (np.arange(height) + 0.5) / height, (np.arange(width) + 0.5) / width
        foot = float(ys[min(int(np.searchsorted(np.cumsum(rows), 0.92 * total)), height - 1)])
        return float((columns * xs).sum() / total), float((rows * ys).sum() / total), foot


def prepared(pictures: np.ndarray) -> torch.Tensor:
    """[N, H, W, 3] u8 of any size -> [N, 3, h, w] in 0..1, the shorter side SIDE, both multiples of 16."""
    x = torch.from_numpy(np.ascontiguousarray(pictures)).permute(0, 3, 1, 2).float() / 255
    height, width = x.shape[2:]
    scale = SIDE / min(height, width)
    size = tuple(max(16, round(side * scale / 16) * 16) for side in (height, width))
    if (height, width) == (2 * size[0], 2 * size[1]):  # as the scenes that it learned from were made smaller
        return F.avg_pool2d(x, 2)
    return F.interpolate(x, size=size, mode="bilinear", align_corners=False, antialias=True)


@torch.no_grad()
def read(model: Evaluator, pictures: Sequence[np.ndarray], batch: int = 64) -> list[Reading]:
    """Reads pictures [H, W, 3] u8, in f32; neighbours of one size go through the network together."""
    readings: list[Reading] = []
    first = 0
    while first < len(pictures):
        last = first + 1
        while last < len(pictures) and last - first < batch and pictures[last].shape == pictures[first].shape:
            last += 1
        answers = model(prepared(np.stack(pictures[first:last])))
        cells = answers.objects.softmax(1)[:, :-1].half().numpy()
        colours, middles = answers.colours.half().numpy(), answers.middles.half().numpy()
        kinds = [logits.argmax(1).tolist() for logits in (answers.style, answers.sky, answers.ground)]
        for i in range(last - first):
            readings.append(Reading(cells[i], colours[i], middles[i], STYLE_NAMES[kinds[0][i]], SKY_NAMES[kinds[1][i]],
                                    GROUND_NAMES[kinds[2][i]], answers.features[i].numpy()))
        first = last
    return readings
