"""What a prompt says, as facts that can be checked, and the prompts of `training/prompts`.

    {"id": 512, "prompt": "a red car left of a house", "seed": "512", "scene": [5000002, 17],
     "things": [{"name": "car", "colour": "red", "count": 1, "words": ["red", "car"], "spans": [[2, 5], [6, 9]]}, ...],
     "relation": "left", "style": "3d", "sky": ["blue"], "ground": ["grass", "meadow"]}

`scene` is the seed of the scene that the caption was written for (absent from prompts that a person wrote). What a
prompt leaves open is absent; `sky` and `ground` list every reading of the phrase.
"""
from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import NotRequired, TypedDict

from ..scenes.captions import SILENT, STYLE_PREFIXES, STYLE_SUFFIXES, Words, text_of
from ..scenes.places import GROUNDS, SKIES

PROMPTS = Path(__file__).resolve().parents[2] / "prompts"
SETS = ("single", "pair", "relations", "full", "typed")
RELATIONS = ("left", "right", "on", "under", "above", "behind", "front", "next")
# A blue sky may have a cloud, and whoever asks for clouds may get few.
ALSO = {"blue": ("blue", "cloudy"), "cloudy": ("cloudy", "blue")}


class FactThing(TypedDict):
    name: str
    words: list[str]
    spans: list[list[int]]  # characters of the prompt, [from, to)
    colour: NotRequired[str]
    count: NotRequired[int]


class Prompt(TypedDict):
    id: int
    prompt: str
    seed: str
    things: list[FactThing]
    scene: NotRequired[list[int]]
    relation: NotRequired[str]  # of the first thing to the second
    style: NotRequired[str]
    sky: NotRequired[list[str]]
    ground: NotRequired[list[str]]


def spans_of(words: Words) -> list[list[int]]:
    """Where each word of a caption stands in its text."""
    text, spans, at = text_of(words), [], 0
    for word, _ in words:
        start = text.index(word, at)
        spans.append([start, start + len(word)])
        at = start + len(word)
    return spans


def _said(words: Words, key: str) -> str:
    return " ".join(word for word, k in words if k == key)


def _content(phrase: str) -> str:
    return " ".join(word for word in phrase.split() if word not in SILENT)


def skies_said(words: Words) -> list[str]:
    """Skies that the caption's sky words may mean; empty when it has none."""
    said = _said(words, "sky")
    names = [s.name for s in SKIES if said and said in {_content(p) for p in (*s.phrases, *s.moments)}]
    return list(dict.fromkeys(n for name in names for n in ALSO.get(name, (name,))))


def grounds_said(words: Words) -> list[str]:
    said = _said(words, "ground")
    return [g.name for g in GROUNDS if said and said in {_content(p) for p in (*g.phrases, *g.moments)}]


def style_said(text: str) -> str | None:
    """The style that a caption of our grammar names."""
    for style, groups in STYLE_PREFIXES.items():
        if any(text.startswith(" ".join(group) + " ") for group in groups):
            return style
    for style, groups in STYLE_SUFFIXES.items():
        if any(f", {' '.join(group)}" in text for group in groups):
            return style
    return None


def facts_of(number: int, words: Words, facts: dict, scene: tuple[int, int]) -> Prompt:
    """A drawn scene's caption as a prompt with what it says; what is drawn and not said is no fact."""
    text, spans = text_of(words), spans_of(words)
    said = {key for _, key in words}
    things: list[FactThing] = []
    for thing in facts["things"]:
        if thing["key"] not in said:
            continue
        row: FactThing = {"name": thing["name"], "count": thing["count"],
                          "words": [w for w, k in words if k == thing["key"]],
                          "spans": [s for s, (_, k) in zip(spans, words, strict=True) if k == thing["key"]]}
        if thing["colour"]:
            row["colour"] = thing["colour"]
        things.append(row)
    prompt: Prompt = {"id": number, "prompt": text, "seed": str(number), "scene": list(scene), "things": things}
    if facts.get("relation") in RELATIONS:
        prompt["relation"] = facts["relation"]
    style, sky, ground = style_said(text), skies_said(words), grounds_said(words)
    if style:
        prompt["style"] = style
    if sky:
        prompt["sky"] = sky
    if ground:
        prompt["ground"] = ground
    return prompt


def load_prompts(folder: Path = PROMPTS) -> dict[str, list[Prompt]]:
    """Every set, in order; ids are unique over all."""
    return {name: json.loads((folder / f"{name}.json").read_text()) for name in SETS}


def save_prompts(path: Path, prompts: list[Prompt]) -> None:
    """One prompt a line, so that a change shows as one."""
    lines = ",\n".join(json.dumps(prompt, ensure_ascii=False) for prompt in prompts)
    path.write_text(f"[\n{lines}\n]\n")


class HeldOut:
    """What no training scene may be: the caption of a held-out prompt, or its several things in the same colours."""

    def __init__(self, prompts: dict[str, list[Prompt]]):
        every = [prompt for group in prompts.values() for prompt in group]
        self.captions = {prompt["prompt"] for prompt in every}
        self.combinations = {_combination(prompt["things"]) for prompt in every if len(prompt["things"]) > 1}

    def has(self, text: str, facts: dict) -> bool:
        things = facts["things"]
        return text in self.captions or (len(things) > 1 and _combination(things) in self.combinations)


def _combination(things: list) -> tuple:
    return tuple(sorted((t["name"], t.get("colour") or "") for t in things))


@functools.cache
def held_out_scenes() -> HeldOut:
    return HeldOut(load_prompts())
