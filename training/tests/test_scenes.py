"""Scenes: a caption never names what is not drawn, and regions cover what they name."""
from __future__ import annotations

import numpy as np
import pytest

from storybook.scenes.captions import NUMBERS, text_of
from storybook.scenes.compose import Composer, Mix
from storybook.scenes.objects import COLOUR_NAMES, COLOUR_SYNONYMS, COLOURS, THINGS, plural
from storybook.scenes.places import GROUNDS, SKIES
from storybook.scenes.sprites import from_oklab, recolour, to_oklab

KINDS = ("plain", "single", "count", "pair", "full")
SPOKEN = {c: c for c in COLOUR_NAMES} | {s: c for c, group in COLOUR_SYNONYMS.items() for s in group}
NOUNS = {}
for thing in THINGS:
    for pair in thing.names:
        for name in pair:
            NOUNS.setdefault(name.split()[-1], set()).add(thing.name)


def scenes(sprites, kind, count=40, size=(256, 256), mix=Mix(iconic=0.3)):
    composer = Composer(sprites, mix)
    for i in range(count):
        yield composer.draw(np.random.default_rng((3, i)), *size, kind)


def test_world_is_large_enough():
    assert len(THINGS) >= 110 and len(COLOURS) >= 11 and len(SKIES) >= 10 and len(GROUNDS) >= 12
    assert len({t.name for t in THINGS}) == len(THINGS)
    assert plural("fox") == "foxes" and plural("car") == "cars"


@pytest.mark.parametrize("kind", KINDS)
def test_caption_names_only_what_is_drawn(sprites, kind):
    for scene in scenes(sprites, kind):
        drawn = {t["key"]: t for t in scene.facts["things"]}
        for word, key in scene.words:
            if not key:
                continue
            assert key in scene.regions, (scene.text, key)
            if key in drawn:
                thing = drawn[key]
                if word in SPOKEN and word != "orange":
                    assert SPOKEN[word] == thing["colour"], scene.text
                if word in NOUNS:
                    assert thing["name"] in NOUNS[word], scene.text
                if word in NUMBERS.values():
                    assert NUMBERS[thing["count"]] == word, scene.text
        said = {key for _, key in scene.words}
        assert ("sky" not in said) or scene.facts["sky"]
        assert ("far" not in said) or scene.facts["far"] != "none"


@pytest.mark.parametrize("size", [(256, 256), (256, 384), (384, 256)])
def test_regions_cover_what_they_name(sprites, size):
    """The test's sprites are magenta: with photographic styles off, a thing's region is where magenta is."""
    mix = Mix(styles=(1, 0, 0, 0))
    for scene in scenes(sprites, "pair", 30, size, mix):
        image = scene.image.astype(int)
        magenta = (image[..., 0] > 170) & (image[..., 1] < 80) & (image[..., 2] > 160)
        cells = magenta.reshape(size[0] // 16, 16, size[1] // 16, 16).mean((1, 3))
        union = sum(scene.regions[k].astype(float) for k in ("a", "b")) / 255
        assert np.abs(cells - union).mean() < 0.05, scene.text
        total = sum(r.astype(float) for r in scene.regions.values()) / 255
        assert np.abs(total - 1).max() < 0.05  # every pixel belongs to one region


def test_left_and_right_are_kept(sprites):
    seen = 0
    for scene in scenes(sprites, "pair", 150):
        if scene.facts["relation"] not in ("left", "right"):
            continue
        xs = {k: (scene.regions[k].sum(0) * np.arange(16)).sum() / scene.regions[k].sum() for k in "ab"}
        assert (xs["a"] < xs["b"]) == (scene.facts["relation"] == "left"), scene.text
        seen += 1
    assert seen > 10


def test_same_seed_same_scene(sprites):
    composer = Composer(sprites)
    one, two = (composer.draw(np.random.default_rng(11)) for _ in range(2))
    assert (one.image == two.image).all() and one.words == two.words
    assert text_of(one.words) == one.text


def test_recolour_moves_hue_and_keeps_shading():
    sprite = np.zeros((64, 64, 4), np.float32)
    sprite[..., 3] = 1
    shade = np.linspace(0.5, 1, 64, dtype=np.float32)
    sprite[..., 0] = shade[None, :]
    lab = to_oklab(recolour(sprite, "blue")[..., :3])
    assert (lab[..., 2] < -0.08).all()  # blue
    assert (np.diff(lab[0, :, 0]) > -1e-3).all()  # still lighter to the right
    assert np.abs(from_oklab(to_oklab(sprite[..., :3])) - sprite[..., :3]).max() < 1e-3
