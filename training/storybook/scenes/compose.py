"""Composes one scene: picture, caption whose words know their regions, and the facts (for tests and evaluation)."""
from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from PIL import Image

from . import captions as cap
from . import paint
from .objects import BY_NAME, COLOUR_NAMES, THINGS, Thing
from .places import FARS, GROUNDS, PLAIN, SKIES, Ground, Sky
from .sprites import Sprites

CELL = 16  # pixels of one region cell, the VAE's factor


@dataclass(frozen=True)
class Mix:
    """What kinds of scenes, how often. A later session widens it; a young model learns the simple ones first."""

    iconic: float = 0.5  # share of draws taken from the iconic objects
    plain: float = 0.10
    single: float = 0.44
    count: float = 0.10
    pair: float = 0.26  # the rest are full scenes
    flip: float = 0.0
    styles: tuple[float, float, float, float] = (0.64, 0.16, 0.09, 0.11)  # 3d, flat, sketch, watercolor


@dataclass
class Scene:
    image: np.ndarray  # [H, W, 3] u8
    words: cap.Words
    regions: dict[str, np.ndarray]  # key -> [H/16, W/16] u8 coverage, 255 is all of the cell
    facts: dict = field(default_factory=dict)

    @property
    def text(self) -> str:
        return cap.text_of(self.words)


STYLE_NAMES = ("3d", "flat", "sketch", "watercolor")
_SKY_WEIGHTS = {"blue": 5.0, "cloudy": 2.0, "sunset": 1.6, "night": 1.8}
_GROUND_WEIGHTS = {"grass": 5.0, "beach": 2.0, "snow": 1.6, "road": 1.8, "sea": 0.0, "lake": 0.0, "stage": 0.5, "kitchen": 0.6, "rocks": 0.6}
_ICONIC = [t for t in THINGS if t.iconic]
_SUPPORTS = [t for t in THINGS if "t" in t.flags]
_ROOFS = [t for t in THINGS if "u" in t.flags]
_SKYLINGS = [t for t in THINGS if t.places[0] == "s"]
_BLOB = np.clip(1 - np.hypot(*np.mgrid[-1:1:64j, -1:1:64j]), 0, 1).astype(np.float32) ** 0.8


def _pick(rng: np.random.Generator, rows: list, weight: list[float]):
    total = np.cumsum(weight)
    return rows[int(np.searchsorted(total, rng.random() * total[-1], side="right"))]


class Composer:
    """Draws scenes; one composer per process."""

    def __init__(self, sprites: Sprites, mix: Mix = Mix()):
        self.sprites, self.mix = sprites, mix

    # -- drawing ---------------------------------------------------------------------------------------------

    def _start(self, height: int, width: int, style: str, rng: np.random.Generator) -> None:
        self.h, self.w, self.s, self.rng = height, width, min(height, width), rng
        self.look = "flat" if style == "flat" else "3d"
        if style in ("sketch", "watercolor") and rng.random() < 0.4:
            self.look = "flat"
        self.masks: dict[str, np.ndarray] = {}
        self.image = np.empty((height, width, 3), np.float32)

    def _claim(self, key: str, mask: np.ndarray, box: tuple[int, int, int, int] | None = None) -> None:
        """The pixels of `mask` now belong to `key`: nobody else's region keeps them."""
        y0, y1, x0, x1 = box or (0, self.h, 0, self.w)
        for other in self.masks.values():
            other[y0:y1, x0:x1] *= 1 - mask
        own = self.masks.setdefault(key, np.zeros((self.h, self.w), np.float32))
        own[y0:y1, x0:x1] += mask

    def _sprite(self, thing: Thing, colour: str | None, extent: float) -> Image.Image:
        sprite = self.sprites.get(thing.name, self.look, colour)
        scale = extent / max(sprite.size)
        size = (max(4, round(sprite.width * scale)), max(4, round(sprite.height * scale)))
        sprite = sprite.resize(size, Image.BICUBIC if scale > 0.6 else Image.BOX if scale < 0.3 else Image.LANCZOS)
        return sprite.transpose(Image.FLIP_LEFT_RIGHT) if self.flip else sprite

    def _stamp(self, sprite: Image.Image, cx: float, base: float, key: str, shadow: float = 0.38) -> tuple[int, int, int, int]:
        """Puts a sprite with its lower edge at `base`; returns its box (y0, y1, x0, x1) inside the picture."""
        rgba = np.asarray(sprite, np.float32) / 255
        h, w = rgba.shape[:2]
        if shadow:
            sw, sh = max(4, int(w * 1.06)), max(4, int(min(w, h * 1.5) * 0.2))
            blob = np.asarray(Image.fromarray(_BLOB).resize((sw, sh), Image.BILINEAR))
            sy, sx = int(base - sh * 0.6), int(cx - sw / 2)
            y0, y1, x0, x1 = max(sy, 0), min(sy + sh, self.h), max(sx, 0), min(sx + sw, self.w)
            if y1 > y0 and x1 > x0:
                self.image[y0:y1, x0:x1] *= (1 - shadow * blob[y0 - sy:y1 - sy, x0 - sx:x1 - sx])[..., None]
        top, left = int(round(base - h)), int(round(cx - w / 2))
        y0, y1, x0, x1 = max(top, 0), min(top + h, self.h), max(left, 0), min(left + w, self.w)
        if y1 <= y0 or x1 <= x0:
            return (0, 0, 0, 0)
        part = rgba[y0 - top:y1 - top, x0 - left:x1 - left]
        alpha = part[..., 3]
        self.image[y0:y1, x0:x1] += (part[..., :3] - self.image[y0:y1, x0:x1]) * alpha[..., None]
        self._claim(key, alpha, (y0, y1, x0, x1))
        return (y0, y1, x0, x1)

    def _backdrop(self, sky: Sky, ground: Ground, far: str, horizon: int) -> None:
        if ground.indoor:
            self.image[:horizon] = paint.wall(horizon, self.w, self.rng)
        else:
            self.image[:horizon] = paint.sky(sky, horizon, self.w, self.rng)
        self.image[horizon:] = paint.ground(ground, self.h - horizon, self.w, self.rng)
        above = np.zeros((self.h, self.w), np.float32)
        above[:horizon] = 1
        self._claim("wall" if ground.indoor else "sky", above)
        self._claim("ground", 1 - above)
        if far != "none":
            haze = paint.rgb(sky.bottom)
            colours, mask = paint.far(far, self.h, self.w, horizon, haze, self.rng)
            if sky.name in ("night", "green", "storm", "rain"):
                colours = colours * 0.55
            self.image += (colours - self.image) * mask[..., None]
            self._claim("far", mask)
        if not ground.indoor and sky.name in ("night", "green", "storm", "rain"):
            self.image[horizon:] *= 0.62 if sky.name in ("night", "green") else 0.8

    # -- choosing --------------------------------------------------------------------------------------------

    def _thing(self, rows: list[Thing] | None = None) -> Thing:
        if rows is None:
            rows = _ICONIC if self.rng.random() < self.mix.iconic else THINGS
        elif self.rng.random() < self.mix.iconic:
            rows = [t for t in rows if t.iconic] or rows
        return rows[int(self.rng.integers(len(rows)))]

    def _colour(self, thing: Thing) -> str | None:
        if not thing.colourable or self.rng.random() < 0.22:
            return None
        return COLOUR_NAMES[int(self.rng.integers(len(COLOUR_NAMES)))]

    def _setting(self, things: list[Thing], board: bool) -> tuple[Sky, Ground]:
        rng = self.rng
        weights = [_SKY_WEIGHTS.get(s.name, 1.0) for s in SKIES]
        if any(t.name in ("moon", "star") for t in things):
            weights = [12.0 if s.name == "night" else w for s, w in zip(SKIES, weights, strict=True)]
        if any(t.name in ("sun", "rainbow") for t in things):
            weights = [0.0 if s.name in ("night", "storm", "green", "snowfall") else w for s, w in zip(SKIES, weights, strict=True)]
        sky = _pick(rng, SKIES, weights)
        ground_weights = []
        wet = all("w" in t.places or t.places[0] == "s" for t in things) and any("w" in t.places for t in things)
        only_wet = any(t.places[0] == "w" for t in things)
        for g in GROUNDS:
            w = _GROUND_WEIGHTS.get(g.name, 1.0)
            if g.water:
                w = (40.0 if g.name == "sea" else 20.0) if only_wet else 4.0 if wet else 0.0
            elif only_wet:
                w = 0.0
            if board and g.name == "sea":
                w = 12.0
            if g.name == "road" and any(t.category == "vehicle" for t in things):
                w *= 2.5
            if g.indoor and any(t.category in ("building", "nature", "sky", "vehicle") for t in things):
                w = 0.0
            ground_weights.append(w)
        return sky, _pick(rng, GROUNDS, ground_weights)

    def _extent(self, thing: Thing, share: float, size: str) -> float:
        zoom = {"big": 1.22, "large": 1.22, "huge": 1.35, "small": 0.66, "tiny": 0.5, "little": 0.66}.get(size, 1.0)
        return self.s * share * (thing.size ** 0.42) * zoom * self.rng.uniform(0.92, 1.08)

    def _size_word(self, chance: float = 0.1) -> str:
        return str(self.rng.choice(("big", "small", "large", "tiny"))) if self.rng.random() < chance else ""

    # -- kinds of scenes -------------------------------------------------------------------------------------

    def draw(self, rng: np.random.Generator, height: int = 256, width: int = 256, kind: str | None = None) -> Scene:
        """One scene: image [height, width, 3], caption, regions [height/16, width/16], facts."""
        mix = self.mix
        style = _pick(rng, list(STYLE_NAMES), list(mix.styles))
        self._start(height, width, style, rng)
        self.flip = rng.random() < mix.flip
        if kind is None:
            rest = 1 - mix.plain - mix.single - mix.count - mix.pair
            kind = _pick(rng, ["plain", "single", "count", "pair", "full"], [mix.plain, mix.single, mix.count, mix.pair, max(rest, 0)])
        self.facts = {"kind": kind, "style": style, "things": []}
        if kind == "plain":
            words = self._plain(style)
        else:
            words = self._placed(kind, style)
        image = paint.stylise(np.clip(self.image, 0, 1), style, rng)
        regions = {}
        for key, mask in self.masks.items():
            cells = mask.reshape(height // CELL, CELL, width // CELL, CELL).mean((1, 3))
            regions[key] = np.round(np.clip(cells, 0, 1) * 255).astype(np.uint8)
        return Scene(np.round(image * 255).astype(np.uint8), words, regions, self.facts)

    def _say_style(self, style: str) -> bool:
        return self.rng.random() < (0.14 if style == "3d" else 0.95)

    def _note(self, thing: Thing, colour: str | None, count: int, key: str) -> None:
        self.facts["things"].append({"name": thing.name, "colour": colour, "count": count, "key": key})

    def _plain(self, style: str) -> cap.Words:
        rng = self.rng
        thing, size = self._thing(), self._size_word(0.05)
        colour = self._colour(thing)
        back = _pick(rng, list(PLAIN), [6.0 if p == "white" else 1.0 for p in PLAIN])
        if back == colour:
            back = "white" if colour != "white" else "blue"
        tone = paint.rgb(PLAIN[back])
        self.image[:] = paint.gradient(np.clip(tone * 1.03, 0, 1), tone * 0.95, self.h, self.w)
        self._claim("plain", np.ones((self.h, self.w), np.float32))
        sprite = self._sprite(thing, colour, self._extent(thing, 0.66, size))
        self._stamp(sprite, self.w * rng.uniform(0.44, 0.56), min(self.h * 0.95, self.h * 0.5 + sprite.height * 0.52), "a", 0.2)
        self._note(thing, colour, 1, "a")
        words = cap.noun(thing, colour, 1, size, "a", rng)
        if rng.random() < 0.9 or back != "white":
            words += [("on", ""), (cap.article(back), ""), (back, "plain"), ("background", "plain")]
        return cap.assemble(words, [], [], [], [], style, self._say_style(style), rng)

    def _placed(self, kind: str, style: str) -> cap.Words:
        rng = self.rng
        horizon = int(self.h * rng.uniform(0.46, 0.62))
        relation = ""
        first, second = self._thing(), None
        if kind == "pair":
            relation = _pick(rng, ["and", "left", "right", "next", "on", "under", "above", "behind", "front"], [3, 1.4, 1.4, 1.2, 2.2, 1.2, 1.0, 1.0, 1.0])
            first, second = self._two(relation)
        elif kind == "full":
            second = self._thing()
            while second.name == first.name or "surfboard" in (first.name, second.name):
                first, second = self._thing(), self._thing()
            relation = "and"
        count = int(_pick(rng, [2, 3, 4], [4, 3, 2])) if kind == "count" else 1
        things = [first] + ([second] if second else [])
        board = relation == "on" and second is not None and second.name == "surfboard"
        sky, ground = self._setting([second] if board else things, board)
        far = "none"
        if not ground.indoor and not any(t.name in ("mountain", "snowy mountain", "volcano") for t in things):
            far = _pick(rng, list(FARS), [5.0, 1.6, 1.2, 1.2, 0.9, 0.0 if ground.water else 0.5])
        self._backdrop(sky, ground, far, horizon)
        self.facts.update(sky="" if ground.indoor else sky.name, ground=ground.name, far=far, relation=relation)
        shadow = 0.15 if ground.water else 0.38
        if kind in ("single", "count"):
            subject = self._group(first, count, horizon, shadow)
        else:
            subject = self._couple(first, second, relation, horizon, shadow)
            if kind == "full":
                subject = self._extra(subject, things, horizon, shadow, ground.indoor)
        if not ground.indoor:
            paint.weather(self.image, sky, rng)
        return self._tell(subject, sky, ground, far, style)

    def _two(self, relation: str) -> tuple[Thing, Thing]:
        for _ in range(60):
            first, second = self._thing(), self._thing()
            if relation == "on":
                second = self._thing(_SUPPORTS)
                if self.rng.random() < 0.25:
                    second = BY_NAME["surfboard"]
                if "h" in first.flags or first.places[0] != "g" or first.size > second.size + 0.35 and second.name != "surfboard" or first.size > 1.15:
                    continue
            elif relation == "under":
                second = self._thing(_ROOFS) if self.rng.random() < 0.6 else self._thing(_SKYLINGS)
                if first.size > 0.95 or first.places[0] != "g":
                    continue
            elif relation == "above":
                first = self._thing(_SKYLINGS)
                if second.places[0] == "s":
                    continue
            elif relation in ("behind", "front"):
                big, small = (first, second) if relation == "behind" else (second, first)
                if big.places[0] == "s" or small.places[0] == "s" or big.size < small.size * 1.15:
                    continue
            if first.name != second.name and self._fit(first, second):
                return first, second
            if relation == "on" and second.name == "surfboard" and first.name != second.name:
                return first, second
        return BY_NAME["cat"], BY_NAME["house"]

    @staticmethod
    def _fit(first: Thing, second: Thing) -> bool:
        """Things of the water and things of the land do not meet, unless one of them is at home in both."""
        wet = [t.places == "w" for t in (first, second)]
        dry = ["w" not in t.places and t.places[0] != "s" for t in (first, second)]
        return not (any(wet) and any(dry))

    def _base(self, horizon: int, near: float) -> float:
        """A standing line on the ground: near 0 is at the horizon, 1 at the lower edge."""
        return horizon + (self.h - horizon) * near

    def _inside(self, cx: float, width: float) -> float:
        half = width / 2 + 2
        return float(np.clip(cx, half, self.w - half)) if width < self.w - 4 else self.w / 2

    def _group(self, thing: Thing, count: int, horizon: int, shadow: float) -> cap.Words:
        rng, colour, size = self.rng, self._colour(thing), self._size_word() if count == 1 else ""
        self._note(thing, colour, count, "a")
        flying = thing.places[0] == "s"
        if count == 1:
            sprite = self._sprite(thing, colour, self._extent(thing, 0.62, size))
            cx = self._inside(self.w * (0.5 + rng.normal(0, 0.1)), sprite.width)
            if flying:
                base = max(sprite.height + 6, self.h * rng.uniform(0.42, 0.62) + sprite.height * 0.2)
            else:
                base = max(self._base(horizon, rng.uniform(0.45, 0.8)), sprite.height + 6.0)
            self._stamp(sprite, cx, min(base, self.h - 5), "a", 0 if flying else shadow)
        else:
            share = {2: 0.43, 3: 0.34, 4: 0.29}[count]
            slots = (np.arange(count) + 0.5) / count
            extent = min(self._extent(thing, share, ""), self.w / count * 1.02)
            for slot in slots:
                sprite = self._sprite(thing, colour, extent)
                base = self.h * rng.uniform(0.3, 0.5) + sprite.height / 2 if flying else self._base(horizon, rng.uniform(0.35, 0.8))
                self._stamp(sprite, self._inside(self.w * slot + rng.normal(0, 3), sprite.width), min(max(base, sprite.height + 4), self.h - 4), "a", 0 if flying else shadow)
        return cap.noun(thing, colour, count, size, "a", rng)

    def _couple(self, first: Thing, second: Thing, relation: str, horizon: int, shadow: float) -> cap.Words:
        rng = self.rng
        colours = [self._colour(first), self._colour(second)]
        while colours[0] and colours[0] == colours[1]:
            colours[1] = COLOUR_NAMES[int(rng.integers(len(COLOUR_NAMES)))]
        self._note(first, colours[0], 1, "a")
        self._note(second, colours[1], 1, "b")
        a = cap.noun(first, colours[0], 1, "", "a", rng)
        b = cap.noun(second, colours[1], 1, "", "b", rng)
        joined = a + cap.silent({"and": "and", "left": "left of", "right": "right of", "next": str(rng.choice(("next to", "beside", "near"))), "on": str(rng.choice(("on", "on", "on top of"))),
                                 "under": str(rng.choice(("under", "below"))), "above": str(rng.choice(("above", "over"))), "behind": "behind", "front": "in front of"}[relation]) + b
        if relation in ("left", "right") and rng.random() < 0.5:
            joined = a + cap.silent("to the") + joined[len(a):]
        standing = self._base(horizon, rng.uniform(0.5, 0.78))

        def put(thing: Thing, colour: str | None, key: str, cx: float, base: float, extent: float) -> tuple[int, int, int, int]:
            sprite = self._sprite(thing, colour, extent)
            flying = thing.places[0] == "s"
            if flying:
                base = min(base, self.h * rng.uniform(0.2, 0.3) + sprite.height / 2)
            base = min(max(base, sprite.height + 3), self.h - 4)
            return self._stamp(sprite, self._inside(cx, sprite.width), base, key, 0 if flying else shadow)

        ea, eb = self._extent(first, 0.47, ""), self._extent(second, 0.47, "")
        limit = self.w * 0.49
        if relation in ("and", "left", "right", "next"):
            left_first = relation == "left" or relation != "right" and rng.random() < 0.7
            xa, xb = (0.26, 0.74) if left_first else (0.74, 0.26)
            self.facts["left"] = "a" if left_first else "b"
            put(second, colours[1], "b", self.w * xb, standing + rng.uniform(-6, 6), min(eb, limit))
            put(first, colours[0], "a", self.w * xa, standing + rng.uniform(-6, 6), min(ea, limit))
        elif relation == "on":
            if second.name == "surfboard":
                support, on_top = self.s * rng.uniform(0.68, 0.82), min(ea * 1.05, self.s * 0.5)
            else:
                support = min(self._extent(second, 0.56, ""), self.s * 0.62)
                on_top = min(ea * 0.85, support * 0.72)
            sprite = self._sprite(second, colours[1], support)
            alpha = np.asarray(sprite)[..., 3]
            middle = alpha[:, int(alpha.shape[1] * 0.35):max(int(alpha.shape[1] * 0.65), 1)] > 100
            rows = middle.argmax(0)[middle.any(0)]
            top = float(np.median(rows)) if len(rows) else 0.0
            cx = self._inside(self.w * (0.5 + rng.normal(0, 0.06)), sprite.width)
            base = min(max(self._base(horizon, rng.uniform(0.6, 0.85)), sprite.height + on_top * 0.8), self.h - 5)
            self._stamp(sprite, cx, base, "b", shadow)
            self._stamp(self._sprite(first, colours[0], on_top), cx, base - sprite.height + top + on_top * 0.05 + 1, "a", 0)
        elif relation == "under":
            if second.places[0] == "s":
                put(second, colours[1], "b", self.w * (0.5 + rng.normal(0, 0.08)), self.h, min(eb, self.s * 0.4))
                put(first, colours[0], "a", self.w * (0.5 + rng.normal(0, 0.06)), standing + 8, ea)
            else:
                cx = self.w * (0.5 + rng.normal(0, 0.06))
                put(second, colours[1], "b", cx, standing, self.s * rng.uniform(0.72, 0.82))
                put(first, colours[0], "a", cx + rng.choice((-1, 1)) * self.s * rng.uniform(0.1, 0.17), standing + 12, min(ea * 0.72, self.s * 0.33))
        elif relation == "above":
            put(second, colours[1], "b", self.w * (0.5 + rng.normal(0, 0.08)), standing + 12, eb)
            put(first, colours[0], "a", self.w * (0.5 + rng.normal(0, 0.08)), 0, min(ea, self.s * 0.4))
        else:  # behind, front: the big one is behind
            side = float(rng.choice((-1, 1)))
            back, fore = ((first, colours[0], "a"), (second, colours[1], "b"))[:: 1 if relation == "behind" else -1]
            put(*back, self.w * (0.5 - side * 0.1), self._base(horizon, 0.34), self._extent(back[0], 0.58, ""))
            put(*fore, self.w * (0.5 + side * 0.17), self._base(horizon, 0.82), self._extent(fore[0], 0.4, ""))
        return joined

    def _extra(self, subject: cap.Words, things: list[Thing], horizon: int, shadow: float, indoor: bool) -> cap.Words:
        """A third, small thing: in the sky, or in front; sometimes left out of the caption."""
        rng = self.rng
        for _ in range(20):
            thing = self._thing(None if indoor else _SKYLINGS)
            if thing.name not in {t.name for t in things} and thing.places != "w" and not ("w" in thing.places) and thing.size < 1:
                break
        else:
            return subject
        if thing.places[0] == "s" and any(t.places[0] == "s" for t in things):
            return subject
        colour = self._colour(thing)
        sprite = self._sprite(thing, colour, self._extent(thing, 0.28, ""))
        if thing.places[0] == "s":
            self._stamp(sprite, self._inside(self.w * rng.uniform(0.3, 0.7), sprite.width), max(sprite.height + 4, self.h * rng.uniform(0.1, 0.16) + sprite.height / 2), "c", 0)
        else:
            self._stamp(sprite, self._inside(self.w * rng.uniform(0.4, 0.6), sprite.width), self.h - 6, "c", shadow)
        self._note(thing, colour, 1, "c")
        words = cap.noun(thing, colour, 1, "", "c", rng)
        draw = rng.random()
        if draw < 0.4:
            return subject + cap.silent("and") + words
        if draw < 0.8:
            return subject + cap.silent("with") + words
        return subject

    def _tell(self, subject: cap.Words, sky: Sky, ground: Ground, far: str, style: str) -> cap.Words:
        rng = self.rng
        where: cap.Words = []
        above: cap.Words = []
        moment: cap.Words = []
        behind: cap.Words = []
        if rng.random() < 0.6:
            where = cap.phrase(str(rng.choice(ground.phrases)), "ground")
        elif ground.moments and rng.random() < 0.3:
            moment = cap.phrase(str(rng.choice(ground.moments)), "ground")
        if not ground.indoor and rng.random() < 0.55:
            if sky.moments and rng.random() < 0.35:
                moment = cap.phrase(str(rng.choice(sky.moments)), "sky")
            else:
                above = cap.sky_words(str(rng.choice(sky.phrases)), rng)
        if far != "none" and rng.random() < 0.5:
            lead = cap.silent(",") if rng.random() < 0.4 else cap.silent("with")
            behind = lead + cap.phrase(str(rng.choice(FARS[far])), "far")
        return cap.assemble(subject, where, above, behind, moment, style, self._say_style(style), rng)
