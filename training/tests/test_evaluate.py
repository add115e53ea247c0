"""The evaluator's parts on made-up scenes and readings; the trained one on real scenes where sprites are."""
from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from storybook.evaluate.__main__ import find, numbered
from storybook.evaluate.augment import move, spoil
from storybook.evaluate.distance import frechet, sharpness, spread
from storybook.evaluate.drawing import KEYS, MIX, OBJECT, SIDE, Recorder, draw_many, draw_one
from storybook.evaluate.facts import PROMPTS, SETS
from storybook.evaluate.memorised import nearest
from storybook.evaluate.network import OBJECTS, STRIDE, WEIGHTS, Evaluator, recall, store
from storybook.evaluate.read import Reading, read
from storybook.evaluate.reference import Told
from storybook.evaluate.score import check, holds, tally
from storybook.evaluate.train import densities, loss_of, prepared
from storybook.evaluate.wordmaps import MapTally
from storybook.scenes.objects import COLOUR_NAMES

PLACES = {"left": ((8, 3), (8, 12)), "right": ((8, 12), (8, 3)), "above": ((3, 8), (12, 8)), "under": ((12, 8), (3, 8)),
          "on": ((5, 8), (11, 8)), "behind": ((6, 6), (11, 9)), "front": ((11, 9), (6, 6)), "next": ((8, 3), (8, 12))}


def reading(**things: tuple[int, int, str, int]) -> Reading:
    """A reading in which each thing (row, column, colour, count) fills 3x3 cells."""
    cells, colours, middles = np.zeros((OBJECTS, 16, 16), np.float16), np.zeros((len(COLOUR_NAMES), 16, 16), np.float16), np.zeros((16, 16), np.float16)
    for name, (y, x, colour, count) in things.items():
        block = (slice(y - 1, y + 2), slice(x - 1, x + 2))
        cells[(OBJECT[name], *block)] = 0.9
        colours[(COLOUR_NAMES.index(colour), *block)] = 4
        middles[y, x] = count / 0.9
    return Reading(cells, colours, middles, "3d", "blue", "grass", np.zeros(4, np.float32))


def prompt(*things: dict, **rest) -> dict:
    return {"id": 0, "prompt": "", "seed": "0", "things": [{"count": 1, "words": [], "spans": [], **t} for t in things], **rest}


def test_scenes_are_labelled_with_what_was_drawn(sprites):
    composer = Recorder(sprites, MIX)
    for i in range(30):
        rng = np.random.default_rng((9, i))
        scene = composer.draw(rng, kind="crowd" if i % 2 else None)
        counts = {t["key"]: t["count"] for t in scene.facts["things"]}
        stamped = [key for key, _, _ in composer.stamps]
        assert {k: stamped.count(k) for k in counts} == counts
        assert set(counts) <= set(KEYS) | {"a", "b", "c"}
        if scene.facts["kind"] in ("plain", "single"):
            for key, x, y in composer.stamps:  # nothing covers it: the middle lies where the region is
                ys, xs = np.nonzero(scene.regions[key] > 100)
                if len(ys):
                    assert xs.min() - 1 <= x * 16 <= xs.max() + 2 and ys.min() - 1 <= y * 16 <= ys.max() + 2


def test_the_same_seed_gives_the_same_labels(sprites):
    one, two = (draw_one(Recorder(sprites, MIX), (5, 3), 0.5) for _ in range(2))
    assert all((one[k] == two[k]).all() for k in one)
    assert one["image"].shape == (SIDE, SIDE, 3) and one["cover"].shape[1:] == (16, 16)


def test_moving_a_scene_moves_its_labels():
    pictures, cover, centres = torch.zeros(6, 3, 128, 128), torch.zeros(6, 1, 16, 16), torch.full((6, 2, 3), -1.0)
    pictures[:, :, 48:64, 64:80] = 1
    cover[:, 0, 6:8, 8:10] = 1
    centres[:, 0] = torch.tensor([72 / 128, 56 / 128, 0.0])
    pictures, cover, centres = move(pictures, cover, centres, torch.Generator().manual_seed(3))
    weights = pictures[:, 0] / pictures[:, 0].sum((1, 2), keepdim=True)
    at = (torch.arange(128) + 0.5) / 128
    x, y = (weights.sum(1) * at).sum(1), (weights.sum(2) * at).sum(1)
    assert torch.allclose(x, centres[:, 0, 0], atol=0.01) and torch.allclose(y, centres[:, 0, 1], atol=0.01)
    cells = cover[:, 0] / cover[:, 0].sum((1, 2), keepdim=True)
    assert torch.allclose((cells.sum(1) * (torch.arange(16) + 0.5) / 16).sum(1), x, atol=0.02)
    assert (centres[:, 1, 2] == -1).all()
    assert torch.allclose(densities(centres, 16, 16).sum((2, 3))[:, 0], torch.ones(6), atol=1e-4)


def test_the_network_learns(sprites):
    """A few steps on a handful of scenes: every term is finite, the sum falls."""
    torch.manual_seed(0)
    model = Evaluator()
    assert sum(p.numel() for p in model.parameters()) <= 3e6
    rows = {k: torch.from_numpy(v) for k, v in draw_many(Recorder(sprites, MIX), 1, 4, 0.5).items()}
    pictures, things, cover, centres, kind = prepared(rows)
    pictures, cover, centres = spoil(pictures, cover, centres, torch.Generator().manual_seed(1))
    assert pictures.min() >= 0 and pictures.max() <= 1
    optimizer, sums = torch.optim.AdamW(model.parameters(), lr=2e-3), []
    for _ in range(5):
        parts = loss_of(model(pictures), things, cover, centres, kind)
        assert all(torch.isfinite(v) for v in parts.values())
        optimizer.zero_grad()
        sum(parts.values()).backward()
        optimizer.step()
        sums.append(float(sum(parts.values()).detach()))
    assert sums[-1] < sums[0]


def test_weights_survive_the_file_and_reading_is_deterministic(tmp_path: Path):
    torch.manual_seed(0)
    store(Evaluator(), tmp_path / "e.safetensors", {})
    assert (tmp_path / "e.safetensors").stat().st_size < 6e6
    model = recall(tmp_path / "e.safetensors")
    rng = np.random.default_rng(0)
    pictures = [rng.integers(0, 255, shape, np.uint8) for shape in ((256, 256, 3), (256, 256, 3), (256, 384, 3), (100, 80, 3))]
    one, two = read(model, pictures), read(model, pictures)
    assert all((a.cells == b.cells).all() and (a.features == b.features).all() for a, b in zip(one, two, strict=True))
    assert one[0].middles.shape == (SIDE // STRIDE,) * 2 and one[2].middles.shape == (16, 24) and one[3].middles.shape == (20, 16)
    alone = read(model, pictures[1:2])[0]  # neighbours change nothing but the last bits
    assert np.allclose(alone.features, one[1].features, atol=1e-4)


def test_objects_colours_and_counts_are_scored():
    seen = reading(car=(8, 4, "red", 1), cat=(8, 11, "blue", 3))
    good = check(prompt({"name": "car", "colour": "red"}, {"name": "cat", "colour": "blue", "count": 3}, style="3d", sky=["blue", "cloudy"], ground=["sea"]), seen)
    assert good == {"objects": [True, True], "colours": [True, True], "only one": [True], "counts": [True], "all": [True], "style": [True], "sky": [True], "ground": [False]}
    swapped = check(prompt({"name": "car", "colour": "blue"}, {"name": "cat", "colour": "red"}), seen)
    assert swapped["colours"] == [False, False] and swapped["all"] == [False]
    missing = check(prompt({"name": "dog", "colour": "red"}), seen)
    assert missing["objects"] == [False] and missing["colours"] == [False]
    tallies = tally([("single", prompt({"name": "car", "colour": "red"}), seen), ("single", prompt({"name": "dog"}), seen)])
    assert tallies["single"].right["objects"] == 1 and tallies["single"].asked["objects"] == 2


@pytest.mark.parametrize("relation", PLACES)
def test_relations_hold_one_way_round(relation):
    (ay, ax), (by, bx) = PLACES[relation]
    seen = reading(car=(ay, ax, "red", 1), house=(by, bx, "blue", 1))
    assert holds(relation, seen, "car", "house")
    if relation != "next":
        assert not holds(relation, seen, "house", "car")
    assert check(prompt({"name": "car"}, {"name": "house"}, relation=relation), seen)["relations"] == [True]
    assert check(prompt({"name": "car"}, {"name": "dog"}, relation=relation), seen)["relations"] == [False]


def test_distances_know_equals_from_others():
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((400, 8)), rng.standard_normal((400, 8))
    assert frechet(a, a) < 1e-3 and frechet(a, b) < 0.3 < 3 < frechet(a, b + 1)
    blurred = np.full((32, 32, 3), 128, np.uint8)
    noisy = rng.integers(0, 255, (32, 32, 3), np.uint8)
    assert sharpness(blurred) == (0, 0) and sharpness(noisy)[0] > 0.1
    assert spread([a[:5], b[:5]]) > spread([a[:5] * 0.1, b[:5] * 0.1]) > 0


def test_word_maps_are_held_against_what_is_seen():
    seen = reading(car=(8, 4, "red", 1))
    maps = np.zeros((3, 16, 16), np.float32)
    maps[0, 7:10, 3:6], maps[1, 1, 1], maps[2] = 1, 1, np.nan
    tally_ = MapTally()
    tally_.add(prompt({"name": "car", "spans": [[0, 1], [2, 3], [4, 5]]}), seen, maps)
    told = tally_.as_json()
    assert (told["words"], told["peak_inside"], told["mean_iou"], told["not_found"]) == (2, 0.5, 0.5, 1)


def test_the_nearest_training_latent_is_found(tmp_path: Path):
    known = torch.randn(20, 16, 16, 16).half()
    for number, part in (("0000004", known[:10]), ("0000005", known[10:]), ("1000000", torch.zeros(1, 16, 16, 16).half())):
        (tmp_path / "chunks" / f"{number}-256x256").mkdir(parents=True)
        np.save(tmp_path / "chunks" / f"{number}-256x256" / "latents.npy", part.numpy())
    best, where = nearest(tmp_path, torch.cat([known[13:14].float(), torch.zeros(1, 16, 16, 16)]).flatten(1))
    assert where[0] == ("0000005-256x256", 3) and best[0] < 0.05 and 0.9 < best[1] < 1.1  # held-out ones do not count


def test_scenes_alike_keep_to_the_prompt(sprites):
    words = {"words": ["small", "red", "car"], "name": "car", "colour": "red"}
    told = Told(sprites, prompt(words, sky=["night"], ground=["snow"], style="flat"))
    facts = [told.draw(np.random.default_rng((1, i)), kind="single").facts for i in range(5)]
    assert all(f["things"][0]["name"] == "car" and f["things"][0]["colour"] == "red" and f["style"] == "flat" for f in facts)
    assert all(f["sky"] == "night" and f["ground"] == "snow" for f in facts)


@pytest.mark.skipif(not all((PROMPTS / f"{n}.json").exists() for n in SETS), reason="prompts not written yet")
def test_pictures_are_found_by_number(tmp_path: Path):
    for name in ("0003", "0003-1", "0003-2", "0700", "9999", "notes"):
        Image.new("RGB", (8, 8)).save(tmp_path / f"{name}.png")
    first, groups = find(tmp_path, numbered())
    assert sorted(first) == [3, 700] and {k: len(v) for k, v in groups.items()} == {3: 3}


REAL = Path(os.environ.get("ATTUNE_TRAINING_DIR", ""))


@pytest.mark.skipif(not (os.environ.get("ATTUNE_TRAINING_DIR") and (REAL / "sprites.json").exists() and WEIGHTS.exists()), reason="needs sprites and trained weights")
def test_the_trained_evaluator_reads_real_scenes():
    from storybook.evaluate.accuracy import accuracy, draw

    scenes = draw(REAL, 60)
    told = accuracy(scenes, read(recall(), [s.image for s in scenes]))
    assert told["presence, balanced"] > 0.9 and told["colour"] > 0.85 and told["style"] > 0.85
