"""Writes `training/prompts`: 1,000 held-out prompts in four sets, and the typed ones from typed.txt.

    python -m storybook.evaluate.prompts --work WORK

Captions come from the grammar with seeds of their own. Held out means: no training scene (as far as the chunks of WORK
go) has this caption, nor these objects in these colours together; of single objects, not on this ground under this sky
in this style. Drawn on the way: the scene of each prompt, which the scorer draws again as what could be had.
"""
from __future__ import annotations

import argparse
import json
from collections import Counter
from pathlib import Path

import numpy as np

from ..scenes.captions import text_of
from ..scenes.chunks import HELD_OUT
from ..scenes.compose import Composer
from ..scenes.objects import BY_NAME, COLOUR_NAMES, COLOUR_SYNONYMS, THINGS
from ..scenes.sprites import Sprites
from .facts import PROMPTS, RELATIONS, SETS, FactThing, Prompt, facts_of, save_prompts

SEED = 5_000_000  # of the first set; scenes of prompts have numbers from here on
PER_SET = 250


def combination(facts: dict) -> tuple:
    """What of a scene must be new: objects with colours; of a lone object also where and how."""
    things = tuple(sorted((t["name"], t["colour"] or "", t["count"]) for t in facts["things"]))
    return things if len(things) > 1 else (*things, facts.get("sky"), facts.get("ground"), facts["style"])


class Trained:
    """Captions and combinations of every training chunk that is there."""

    def __init__(self, work: Path):
        self.captions: set[str] = set()
        self.combinations: set[tuple] = set()
        self.pairs: set[frozenset[str]] = set()
        self.scenes = 0
        for path in sorted((work / "chunks").glob("*")):
            if int(path.name.split("-")[0]) >= HELD_OUT or not (path / "words.json").exists():
                continue
            for words, facts in zip(*(json.loads((path / f"{n}.json").read_text()) for n in ("words", "facts")), strict=True):
                self.captions.add(text_of(words))
                self.combinations.add(combination(facts))
                self.pairs.add(frozenset(t["name"] for t in facts["things"]))
                self.scenes += 1

    def knows(self, text: str, facts: dict) -> bool:
        return text in self.captions or combination(facts) in self.combinations


def wanted(name: str, number: int, prompt: Prompt, drawn: dict) -> bool:
    """Whether a caption belongs into a set."""
    coloured = all("colour" in t for t in prompt["things"])
    if name == "single":
        return coloured and drawn["kind"] in ("single", "plain")
    if name == "pair":
        return coloured and len(prompt["things"]) == 2 and drawn["relation"] in ("and", "next")
    if name == "relations":  # every relation as often as the others
        return drawn["relation"] == [r for r in RELATIONS if r != "next"][number % (len(RELATIONS) - 1)]
    return ("sky" in prompt or "ground" in prompt) and len(prompt["things"]) >= (2 if drawn["kind"] == "full" else 1)


def kind_of(name: str, number: int) -> str:
    """The kind of scene that the n-th prompt of a set is; a fourth of the full ones count."""
    if name == "single":
        return "plain" if number % 5 == 4 else "single"
    return "count" if name == "full" and number % 4 == 3 else {"pair": "pair", "relations": "pair", "full": "full"}[name]


def make(work: Path, name: str, per_set: int, trained: Trained) -> list[Prompt]:
    """The prompts of one set; the same for the same training scenes."""
    composer, index = Composer(Sprites(work)), SETS.index(name)
    prompts: list[Prompt] = []
    taken: set[str] = set()
    seed = 0
    while len(prompts) < per_set:
        scene = composer.draw(np.random.default_rng((SEED + index, seed)), kind=kind_of(name, len(prompts)))
        prompt = facts_of(index * PER_SET + len(prompts), scene.words, scene.facts, (SEED + index, seed))
        seed += 1
        if scene.text in taken or trained.knows(scene.text, scene.facts) or not wanted(name, len(prompts), prompt, scene.facts):
            continue
        taken.add(scene.text)
        prompts.append(prompt)
    return prompts


def parse_typed(line: str, number: int) -> Prompt:
    """"prompt | 2 red cat; house | left | style | skies | grounds", trailing parts left out; words found in the prompt."""
    parts = [part.strip() for part in line.split("|")]
    text, listed, relation, style, sky, ground = parts + [""] * (6 - len(parts))
    things: list[FactThing] = []
    for item in filter(None, (i.strip() for i in listed.split(";"))):
        words = item.split()
        count = int(words.pop(0)) if words[0].isdigit() else None
        colour = words.pop(0) if len(words) > 1 and words[0] in COLOUR_NAMES else None
        thing: FactThing = {"name": " ".join(words), "words": [], "spans": []}
        if thing["name"] not in BY_NAME:
            raise ValueError(f"no such object: {thing['name']!r} in {line!r}")
        if colour:
            thing["colour"] = colour
        if count:
            thing["count"] = count
        names = sorted((n for pair in BY_NAME[thing["name"]].names for n in pair), key=len, reverse=True)  # "top hat" before "hat"
        for said in dict.fromkeys([*names, *([colour, *COLOUR_SYNONYMS.get(colour, ())] if colour else [])]):
            at = find_word(text.lower(), said)
            if at >= 0 and all(at >= s[1] or at + len(said) <= s[0] for s in thing["spans"]):
                thing["words"].append(text[at:at + len(said)])
                thing["spans"].append([at, at + len(said)])
        things.append(thing)
    prompt: Prompt = {"id": SETS.index("typed") * PER_SET + number, "prompt": text, "seed": str(SETS.index("typed") * PER_SET + number), "things": things}
    if relation:
        prompt["relation"] = relation
    if style:
        prompt["style"] = style
    if sky:
        prompt["sky"] = sky.split()
    if ground:
        prompt["ground"] = ground.split()
    return prompt


def find_word(text: str, word: str) -> int:
    """Where a word stands by itself; -1 for nowhere."""
    at = text.find(word)
    while at >= 0:
        if not (at and text[at - 1].isalnum()) and not text[at + len(word):at + len(word) + 1].isalnum():
            return at
        at = text.find(word, at + 1)
    return -1


def typed(folder: Path = PROMPTS) -> list[Prompt]:
    lines = [line for line in (folder / "typed.txt").read_text().splitlines() if line.strip() and not line.startswith("#")]
    return [parse_typed(line, i) for i, line in enumerate(lines)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path)
    parser.add_argument("--out", type=Path, default=PROMPTS)
    parser.add_argument("--only-typed", action="store_true", help="read typed.txt again, leave the four sets")
    args = parser.parse_args()
    save_prompts(args.out / "typed.json", typed(args.out))
    if args.only_typed:
        return
    from ..common import work_folder  # brings torch along, which the typed prompts do without

    work = work_folder(args.work)
    trained = Trained(work)
    print(f"{trained.scenes} training scenes, {len(trained.combinations)} combinations")
    for name in SETS[:4]:
        prompts = make(work, name, PER_SET, trained)
        save_prompts(args.out / f"{name}.json", prompts)
        unmet = sum(frozenset(t["name"] for t in p["things"]) not in trained.pairs for p in prompts)
        objects = Counter(t["name"] for p in prompts for t in p["things"])
        print(f"{name}: {len(prompts)} prompts, {len(objects)} of {len(THINGS)} objects, {unmet} whose objects never met in training", flush=True)


if __name__ == "__main__":
    main()
