"""Scenes to train and test the evaluator on: drawn by `scenes.compose`, with the place of every single thing.

Besides the ordinary kinds there are crowds: three to five unlike things at random places. They show four times as many
things for the price of one backdrop, every object equally often, and no pairing that the network could learn by heart.
"""
from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
from PIL import Image

from ..scenes import paint
from ..scenes.captions import Words
from ..scenes.compose import STYLE_NAMES, Composer, Mix, Scene
from ..scenes.objects import COLOUR_NAMES, THINGS, Thing
from ..scenes.places import FARS, GROUNDS, PLAIN, SKIES
from ..scenes.sprites import Sprites

# Seeds are (number, i). The model trains on numbers from 0, its held-out chunk is 1,000,000: none of these meets them.
TRAIN_SEED, TEST_SEED = 3_000_000, 4_000_000
SLOTS, CENTRES = 6, 10  # things and single places kept of a scene
SIDE = 128  # pixels that the evaluator sees; two pixels of a 256-pixel scene are one
SHARD = 512
OBJECT = {thing.name: i for i, thing in enumerate(THINGS)}
COLOUR = {name: i for i, name in enumerate(COLOUR_NAMES)}
STYLE = {name: i for i, name in enumerate(STYLE_NAMES)}
SKY = {name: i for i, name in enumerate([s.name for s in SKIES] + [""])}  # "": a wall or a plain background
GROUND = {name: i for i, name in enumerate([g.name for g in GROUNDS] + [""])}
# Rare objects as often as the iconic ones; counts and pairs more often than the model sees them.
MIX = Mix(iconic=0.1, plain=0.08, single=0.2, count=0.3, pair=0.3)
KEYS = "abcde"


class Recorder(Composer):
    """A composer that remembers where it put what, and knows one more kind of scene: "crowd"."""

    def _start(self, height: int, width: int, style: str, rng: np.random.Generator) -> None:
        super()._start(height, width, style, rng)
        self.stamps: list[tuple[str, float, float]] = []  # key, x, y of the middle in 0..1

    def _stamp(self, sprite: Image.Image, cx: float, base: float, key: str, shadow: float = 0.38) -> tuple[int, int, int, int]:
        y0, y1, x0, x1 = box = super()._stamp(sprite, cx, base, key, shadow)
        if y1 > y0:
            self.stamps.append((key, (x0 + x1) / 2 / self.w, (y0 + y1) / 2 / self.h))
        return box

    def _placed(self, kind: str, style: str) -> Words:
        if kind != "crowd":
            return super()._placed(kind, style)
        rng = self.rng
        count = int(rng.integers(3, 6))
        things = [THINGS[i] for i in rng.choice(len(THINGS), count, replace=False)]
        sky, ground = SKIES[int(rng.integers(len(SKIES)))], GROUNDS[int(rng.integers(len(GROUNDS)))]
        horizon = int(self.h * rng.uniform(0.4, 0.65))
        if rng.random() < 0.1:
            tone = paint.rgb(list(PLAIN.values())[int(rng.integers(len(PLAIN)))])
            self.image[:] = paint.gradient(np.clip(tone * 1.03, 0, 1), tone * 0.95, self.h, self.w)
            self._claim("plain", np.ones((self.h, self.w), np.float32))
        else:
            far = "none" if ground.indoor or rng.random() < 0.6 else list(FARS)[int(rng.integers(1, len(FARS)))]
            self._backdrop(sky, ground, far, horizon)
            self.facts.update(sky="" if ground.indoor else sky.name, ground=ground.name)
        places: list[tuple[Thing, str, str | None]] = []
        for key, thing in zip(KEYS, things, strict=False):
            colour = self._colour(thing)
            times = int(rng.integers(2, 4)) if rng.random() < 0.15 and len(places) < 4 else 1
            self._note(thing, colour, times, key)
            places += [(thing, key, colour)] * times
        order = rng.permutation(len(places))
        for slot, i in zip((np.arange(len(places)) + 0.5) / len(places), order, strict=True):
            thing, key, colour = places[i]
            sprite = self._sprite(thing, colour, self.s * rng.uniform(0.2, 0.42) * (0.8 if len(places) > 5 else 1))
            y = self.h * rng.uniform(0.32, 0.98)
            self._stamp(sprite, self._inside(self.w * slot + rng.normal(0, 5), sprite.width), max(y, sprite.height + 2.0), key, 0.3 if rng.random() < 0.6 else 0)
        if "sky" in self.facts and self.facts["sky"]:
            paint.weather(self.image, sky, rng)
        return []


def small(image: np.ndarray) -> np.ndarray:
    """[256, 256, 3] u8 -> [SIDE, SIDE, 3] u8, mean of each 2x2."""
    return np.round(image.reshape(SIDE, 2, SIDE, 2, 3).mean((1, 3), dtype=np.float32)).astype(np.uint8)


def labels(scene: Scene, stamps: list[tuple[str, float, float]]) -> dict[str, np.ndarray]:
    """What the network learns of a scene, in fixed shapes.

    things [SLOTS, 3] i16: object, colour (-1: its own), count; object -1 for an empty slot. cover [SLOTS, 16, 16] u8.
    centres [CENTRES, 3] f32: x, y in 0..1 and slot; slot -1 for none. kind [3] i16: style, sky, ground.
    """
    things, cover = np.full((SLOTS, 3), -1, np.int16), np.zeros((SLOTS, 16, 16), np.uint8)
    centres = np.full((CENTRES, 3), -1, np.float32)
    slots = {}
    for i, thing in enumerate(scene.facts["things"][:SLOTS]):
        things[i] = OBJECT[thing["name"]], COLOUR.get(thing["colour"], -1), thing["count"]
        cover[i] = scene.regions[thing["key"]]
        slots[thing["key"]] = i
    for i, (key, x, y) in enumerate([s for s in stamps if s[0] in slots][:CENTRES]):
        centres[i] = x, y, slots[key]
    facts = scene.facts
    kind = np.array([STYLE[facts["style"]], SKY[facts.get("sky", "")], GROUND[facts.get("ground", "")]], np.int16)
    return {"things": things, "cover": cover, "centres": centres, "kind": kind}


def draw_one(composer: Recorder, seed: tuple[int, int], crowds: float) -> dict[str, np.ndarray]:
    """One scene as arrays, `labels` and image [SIDE, SIDE, 3]; the same for the same seed."""
    rng = np.random.default_rng(seed)
    scene = composer.draw(rng, kind="crowd" if rng.random() < crowds else None)
    return {"image": small(scene.image), **labels(scene, composer.stamps)}


def draw_many(composer: Recorder, number: int, count: int, crowds: float) -> dict[str, np.ndarray]:
    """`count` scenes of one seed number, stacked."""
    rows = [draw_one(composer, (number, i), crowds) for i in range(count)]
    return {key: np.stack([row[key] for row in rows]) for key in rows[0]}


def draw_shards(work: Path, cache: Path, shards: int) -> None:
    """Draws the shards that the cache lacks; each is a file of SHARD scenes that appears whole."""
    cache.mkdir(parents=True, exist_ok=True)
    composer = Recorder(Sprites(work), MIX)
    for number in range(shards):
        path = cache / f"{number:04d}.npz"
        if path.exists():
            continue
        begun = time.time()
        with open(path.with_suffix(".tmp"), "wb") as file:
            np.savez(file, **draw_many(composer, TRAIN_SEED + number, SHARD, 0.5))
        path.with_suffix(".tmp").rename(path)
        print(f"shard {number}: {(time.time() - begun) / SHARD * 1000:.1f} ms a scene", flush=True)


def main() -> None:
    from ..common import work_folder

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path)
    parser.add_argument("--shards", type=int, default=40)
    args = parser.parse_args()
    work = work_folder(args.work)
    draw_shards(work, work / "evaluator", args.shards)


if __name__ == "__main__":
    main()
