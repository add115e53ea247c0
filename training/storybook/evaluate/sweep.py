"""How sure the evaluator is of a word's object as the word's weight rises, on the pictures of a weight sweep.

    npx tsx test/bench/instrument.ts sweep --save FOLDER      # in the repository's root: pictures and sweep.json
    python -m storybook.evaluate.sweep FOLDER                 # here

Two readings of one picture: `confidence`, the largest probability of any cell to show the object, which saturates at 1
once it is there; `area`, the sum over all cells. "Rises" allows a fall of SLACK between neighbours, "strictly" none.
"""
from __future__ import annotations

import argparse
import json
from collections import defaultdict
from pathlib import Path

import numpy as np

from ..scenes.objects import THINGS
from .__main__ import load
from .network import recall
from .read import read
from .tables import table

SLACK = 0.02


def rises(values: list[float], slack: float) -> bool:
    return all(b > a - slack for a, b in zip(values, values[1:], strict=False))


def object_of(word: str) -> str:
    """The object that a word names: its own name first, then synonyms and plurals."""
    by_word = {said: thing.name for thing in reversed(THINGS) for pair in thing.names for said in pair}
    return word if any(t.name == word for t in THINGS) else by_word[word]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    args = parser.parse_args()
    rows = json.loads((args.folder / "sweep.json").read_text())
    readings = read(recall(), [load(args.folder / row["file"]) for row in rows])
    series: dict[str, dict[str, list[tuple[float, float, float]]]] = defaultdict(lambda: defaultdict(list))
    for row, reading in zip(rows, readings, strict=True):
        heat = reading.heat(object_of(row["word"]))
        series[row["law"]][row["prompt"]].append((row["weight"], float(heat.max()), float(heat.sum())))
    lines = []
    for law, prompts in series.items():
        ordered = [sorted(points) for points in prompts.values()]
        confidence = np.array([[c for _, c, _ in points] for points in ordered])
        area = np.array([[a for _, _, a in points] for points in ordered])
        lines.append([law, str(len(ordered)),
                      f"{100 * np.mean([rises(list(r), SLACK) for r in confidence]):.1f} %", f"{100 * np.mean([rises(list(r), 0) for r in confidence]):.1f} %",
                      f"{100 * np.mean([r[-1] > r[0] for r in confidence]):.1f} %",
                      " / ".join(f"{v:.2f}" for v in confidence.mean(0)), " / ".join(f"{v:.1f}" for v in area.mean(0))])
    weights = " / ".join(str(w) for w, _, _ in sorted(next(iter(next(iter(series.values())).values()))))
    print(table(["law", "prompts", f"confidence rises (slack {SLACK})", "strictly", "higher at the end", f"confidence at {weights}", "area, cells of 256"], lines))


if __name__ == "__main__":
    main()
