"""Fixtures: a tiny sprite cache of coloured shapes, so that tests need neither npm packages nor a network."""
from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from storybook.scenes.objects import COLOUR_NAMES, THINGS  # noqa: E402
from storybook.scenes.sprites import SIZE, Sprites  # noqa: E402


@pytest.fixture(scope="session")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A work folder whose sprites are plain discs: one row, shared by every object and colour."""
    folder = tmp_path_factory.mktemp("work")
    yy, xx = np.mgrid[0:SIZE, 0:SIZE]
    disc = np.hypot(yy - SIZE / 2, xx - SIZE / 2) < SIZE / 2 - 1
    sprite = np.zeros((1, SIZE, SIZE, 4), np.uint8)
    sprite[0, disc] = (230, 20, 220, 255)
    np.save(folder / "sprites.npy", sprite)
    index, boxes = {}, {}
    for thing in THINGS:
        for style in ("3d", "flat"):
            boxes[f"{thing.name}|{style}"] = [1, 1, SIZE - 1, SIZE - 1]
            for colour in ["own", *(COLOUR_NAMES if thing.colourable else [])]:
                index[f"{thing.name}|{style}|{colour}"] = 0
    (folder / "sprites.json").write_text(json.dumps({"index": index, "boxes": boxes}))
    return folder


@pytest.fixture(scope="session")
def sprites(work: Path) -> Sprites:
    return Sprites(work)
