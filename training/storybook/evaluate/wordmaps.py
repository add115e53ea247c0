"""Do the words' maps tell the truth? Each against the object as the evaluator finds it in the picture.

`NNNN.npy` beside a picture: [words, 16, 16] f32, the words of the prompt's things in the order of `things` and
`spans`; not-a-number for a word without a map.
"""
from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .facts import Prompt
from .read import PRESENT, Reading


@dataclass
class MapTally:
    words: int = 0
    hits: int = 0
    overlap: float = 0.0  # sum of intersection over union
    area: float = 0.0  # sum of the objects' shares of the picture: what a random point would hit
    unfound: int = 0  # words of objects that the evaluator does not see: nothing to compare with

    def add(self, prompt: Prompt, reading: Reading, maps: np.ndarray) -> None:
        row = 0
        for thing in prompt["things"]:
            found = reading.presence(thing["name"]) > PRESENT
            heat = reading.heat(thing["name"])
            for _ in thing["spans"]:
                word, row = maps[row], row + 1
                if not found or not np.isfinite(word).all() or word.shape != heat.shape:
                    self.unfound += 1
                    continue
                self.words += 1
                # As in the pointing game on real scenes: a cell counts when it is the object's for a tenth.
                touched = heat > 0.1
                self.hits += bool(touched.flat[int(word.argmax())])
                self.area += float(touched.mean())
                mine, its = word > 0.5 * word.max(), heat > 0.5
                self.overlap += float((mine & its).sum() / max(1, (mine | its).sum()))

    def as_json(self) -> dict:
        n = max(1, self.words)
        return {"words": self.words, "peak_inside": self.hits / n, "mean_iou": self.overlap / n, "chance": self.area / n, "not_found": self.unfound}
