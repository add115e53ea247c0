"""The committed prompts: what they claim is what they say, and they are what the issue asks for."""
from __future__ import annotations

import re

import pytest

from storybook.evaluate.facts import PROMPTS, RELATIONS, SETS, grounds_said, load_prompts, skies_said, spans_of, style_said
from storybook.evaluate.prompts import find_word, parse_typed, typed
from storybook.scenes.captions import NUMBERS, text_of
from storybook.scenes.compose import STYLE_NAMES
from storybook.scenes.objects import BY_NAME, COLOUR_NAMES, COLOUR_SYNONYMS
from storybook.scenes.places import GROUNDS, SKIES

WORDS_OF = {"left": ("left",), "right": ("right",), "on": ("on", "riding"), "under": ("under", "below", "above"), "above": ("above", "over"),
            "behind": ("behind", "in front"), "front": ("in front",), "next": ("next", "beside", "near")}
committed = pytest.mark.skipif(not all((PROMPTS / f"{name}.json").exists() for name in SETS), reason="prompts not written yet")


@pytest.fixture(scope="module")
def prompts():
    return load_prompts()


@committed
def test_four_sets_of_250_and_100_typed(prompts):
    assert [len(prompts[name]) for name in SETS] == [250, 250, 250, 250, 100]
    every = [p for group in prompts.values() for p in group]
    assert len({p["id"] for p in every}) == len(every)
    assert len({p["prompt"] for p in every}) == len(every)


@committed
@pytest.mark.parametrize("name", SETS)
def test_facts_agree_with_the_words(prompts, name):
    for prompt in prompts[name]:
        text = prompt["prompt"]
        assert prompt["things"], text
        for thing in prompt["things"]:
            assert [text[a:b] for a, b in thing["spans"]] == thing["words"], text
            said = " ".join(thing["words"]).lower()
            assert any(n in said for pair in BY_NAME[thing["name"]].names for n in pair), (text, thing)
            if colour := thing.get("colour"):
                assert colour in COLOUR_NAMES and BY_NAME[thing["name"]].colourable
                assert any(c in said.split() for c in (colour, *COLOUR_SYNONYMS.get(colour, ()))), text
            if thing.get("count", 1) > 1:
                assert {NUMBERS[thing["count"]], str(thing["count"]), "pair"} & set(re.findall(r"\w+", text.lower())), text
        if relation := prompt.get("relation"):
            assert relation in RELATIONS and len(prompt["things"]) >= 2
            assert any(w in text for w in WORDS_OF[relation]), text
        assert prompt.get("style", "3d") in STYLE_NAMES
        assert set(prompt.get("sky", ())) <= {s.name for s in SKIES}
        assert set(prompt.get("ground", ())) <= {g.name for g in GROUNDS}


@committed
def test_each_set_asks_what_its_name_says(prompts):
    for p in prompts["single"]:
        assert len(p["things"]) == 1 and "colour" in p["things"][0] and p["things"][0]["count"] == 1
    for p in prompts["pair"]:
        assert len({t["colour"] for t in p["things"]}) == 2
    relations = [p["relation"] for p in prompts["relations"]]
    assert all(relations.count(r) >= 30 for r in RELATIONS if r != "next")
    assert sum(t["count"] > 1 for p in prompts["full"] for t in p["things"]) >= 50
    assert all("scene" in p for name in SETS[:4] for p in prompts[name])


@committed
def test_typed_prompts_are_those_of_the_text_file(prompts):
    assert prompts["typed"] == typed()


def test_a_typed_line_is_read():
    row = parse_typed("Two violet cats on a sofa, at night | 2 purple cat; sofa | on | | night", 7)
    assert row["things"][0] == {"name": "cat", "colour": "purple", "count": 2, "words": ["cats", "violet"], "spans": [[11, 15], [4, 10]]}
    assert row["relation"] == "on" and row["sky"] == ["night"] and "style" not in row and "ground" not in row
    with pytest.raises(ValueError, match="no such object"):
        parse_typed("a wombat | wombat", 0)
    assert find_word("a carpet and a car", "car") == 15 and find_word("carpet", "car") == -1


def test_what_a_caption_says_of_place_and_style():
    words = [("a", ""), ("sketch", ""), ("of", ""), ("a", ""), ("cat", "a"), (",", ""), ("under", ""), ("a", ""), ("clear", "sky"), ("blue", "sky"), ("sky", "sky"), ("in", ""), ("the", ""), ("woods", "ground")]
    assert [text_of(words)[a:b] for a, b in spans_of(words)] == [w for w, _ in words]
    assert skies_said(words) == ["blue", "cloudy"] and grounds_said(words) == ["forest"]
    assert skies_said([("cat", "a")]) == [] and style_said(text_of(words)) == "sketch"
    assert style_said("a cat, vector art") == "flat" and style_said("a cat") is None
