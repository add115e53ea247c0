"""Holds readings of pictures against what their prompts say."""
from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from .facts import Prompt
from .read import PRESENT, Reading
from .tables import percent, table

MARGIN = 0.04  # of the picture: less is neither left nor right, neither above nor below
Checks = dict[str, list[bool]]


def holds(relation: str, reading: Reading, first: str, second: str) -> bool:
    """Whether the first thing stands to the second as the prompt says; both have to be there."""
    (ax, ay, afoot), (bx, by, bfoot) = reading.place(first), reading.place(second)
    match relation:
        case "left":
            return ax < bx - MARGIN
        case "right":
            return ax > bx + MARGIN
        case "above":
            return ay < by - MARGIN
        case "under":
            return ay > by + MARGIN
        case "on":  # over it, and not beside it
            return ay < by - MARGIN and abs(ax - bx) < 0.25
        case "behind":  # what stands farther away stands higher in the picture
            return afoot < bfoot
        case "front":
            return afoot > bfoot
        case "next":
            return abs(ax - bx) > 2 * MARGIN and abs(afoot - bfoot) < 0.3
    raise ValueError(relation)


def check(prompt: Prompt, reading: Reading) -> Checks:
    """Every single thing that a prompt says -> whether it is so.

    A colour, a count or a relation of what is not there is wrong: nothing is gained by leaving things out. "all" is
    objects, colours, counts and relation together.
    """
    checks: Checks = defaultdict(list)
    for thing in prompt["things"]:
        there = reading.presence(thing["name"]) > PRESENT
        checks["objects"].append(there)
        if "colour" in thing:
            checks["colours"].append(there and reading.colour(thing["name"]) == thing["colour"])
        if "count" in thing:
            checks["counts" if thing["count"] > 1 else "only one"].append(there and reading.count(thing["name"]) == thing["count"])
    if "relation" in prompt:
        first, second = (thing["name"] for thing in prompt["things"][:2])
        checks["relations"].append(checks["objects"][0] and checks["objects"][1] and holds(prompt["relation"], reading, first, second))
    asked = [v for key in ("objects", "colours", "counts", "relations") for v in checks.get(key, [])]
    if asked:
        checks["all"] = [all(asked)]
    if "style" in prompt:
        checks["style"].append(reading.style == prompt["style"])
    for key in ("sky", "ground"):
        if key in prompt:
            checks[key].append(getattr(reading, key) in prompt[key])
    return dict(checks)


class Tally:
    """Right and asked, by kind of check."""

    def __init__(self) -> None:
        self.right: dict[str, int] = defaultdict(int)
        self.asked: dict[str, int] = defaultdict(int)
        self.pictures = 0

    def add(self, checks: Checks) -> None:
        self.pictures += 1
        for key, values in checks.items():
            self.right[key] += sum(values)
            self.asked[key] += len(values)

    def as_json(self) -> dict:
        return {"pictures": self.pictures, **{key: {"right": self.right[key], "asked": self.asked[key]} for key in self.asked}}


def tally(pairs: Iterable[tuple[str, Prompt, Reading]]) -> dict[str, Tally]:
    """(set, prompt, reading)s -> one tally a set, and one for each relation under "relation: ..."."""
    tallies: dict[str, Tally] = defaultdict(Tally)
    for name, prompt, reading in pairs:
        checks = check(prompt, reading)
        tallies[name].add(checks)
        if name == "relations" and "relations" in checks:
            tallies[f"relation: {prompt['relation']}"].add({k: v for k, v in checks.items() if k in ("objects", "relations", "all")})
    return dict(tallies)


COLUMNS = ("objects", "colours", "counts", "only one", "relations", "style", "sky", "ground", "all")


def score_table(tallies: dict[str, Tally]) -> str:
    rows = [[name, str(t.pictures), *(percent(t.right[k], t.asked[k]) for k in COLUMNS)] for name, t in tallies.items()]
    return table(["set", "pictures", *COLUMNS], rows)
