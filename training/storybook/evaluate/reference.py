"""Real scenes to compare with: the very scene of a prompt, and many scenes of the same caption."""
from __future__ import annotations

from pathlib import Path

import numpy as np

from ..scenes.compose import STYLE_NAMES, Composer, Mix
from ..scenes.objects import BY_NAME, Thing
from ..scenes.places import GROUNDS, SKIES, Ground, Sky
from ..scenes.sprites import Sprites
from .facts import Prompt
from .prompts import kind_of

SKY_OF, GROUND_OF = {s.name: s for s in SKIES}, {g.name: g for g in GROUNDS}


class Scenes:
    """Draws the scenes of prompts again."""

    def __init__(self, work: Path):
        self.sprites = Sprites(work)
        self.composer = Composer(self.sprites)

    def of(self, name: str, prompt: Prompt, position: int) -> np.ndarray:
        """The scene that the caption was written for. `position`: of the prompt in its set, which fixes the kind."""
        return self.composer.draw(np.random.default_rng(tuple(prompt["scene"])), kind=kind_of(name, position)).image

    def alike(self, prompt: Prompt, count: int) -> list[np.ndarray]:
        """`count` scenes with one object that the prompt's words fit just as well; what they leave open varies."""
        composer = Told(self.sprites, prompt)
        return [composer.draw(np.random.default_rng((*prompt["scene"], i)), kind="single").image for i in range(count)]


class Told(Composer):
    """A composer that follows a prompt of the single set where it says something."""

    def __init__(self, sprites: Sprites, prompt: Prompt):
        # Unsaid, nearly every scene is 3d: the other styles are named in 95 of 100 captions.
        style = STYLE_NAMES.index(prompt.get("style", "3d"))
        super().__init__(sprites, Mix(styles=tuple(float(i == style) for i in range(4))))  # type: ignore[arg-type]
        self.prompt = prompt

    def _thing(self, rows: list[Thing] | None = None) -> Thing:
        super()._thing(rows)
        return BY_NAME[self.prompt["things"][0]["name"]]

    def _colour(self, thing: Thing) -> str | None:
        super()._colour(thing)
        return self.prompt["things"][0].get("colour")

    def _size_word(self, chance: float = 0.1) -> str:
        super()._size_word(chance)
        said = [w for w in self.prompt["things"][0]["words"] if w in ("big", "small", "large", "tiny")]
        return said[0] if said else ""

    def _setting(self, things: list[Thing], board: bool) -> tuple[Sky, Ground]:
        sky, ground = super()._setting(things, board)
        if "sky" in self.prompt:
            sky = SKY_OF[self.prompt["sky"][0]]
        if "ground" in self.prompt:
            ground = GROUND_OF[self.prompt["ground"][0]]
        elif "sky" in self.prompt:  # a caption that names the sky was of a scene outdoors
            while ground.indoor:
                ground = super()._setting(things, board)[1]
        return sky, ground
