"""The tokenizer: our word-by-word encoder equals transformers' CLIPTokenizer on the same files."""
from __future__ import annotations

from pathlib import Path

import pytest
from transformers import CLIPTokenizer

from storybook.tokenizer import Tokenizer, write

WORDS = [["a", "red", "car", "under", "a", "blue", "sky"], ["two", "t-rex", ",", "4k"], ["children", "'s", "book"],
         ["Unseen", "wördß", ",", "日本", "x99y!?"], [], ["cat"] * 90]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tokenizer")
    write(path, 900)
    return path


@pytest.mark.parametrize("words", WORDS, ids=lambda w: " ".join(w)[:20] or "empty")
def test_same_ids_as_transformers(folder, words):
    text = " ".join(words).replace(" ,", ",").replace(" '", "'")
    theirs = CLIPTokenizer.from_pretrained(folder)(text, padding="max_length", max_length=77, truncation=True).input_ids
    ids, _ = Tokenizer(folder).encode([(w, -1) for w in words])
    assert ids.tolist() == theirs


def test_round_trip_and_regions(folder):
    tokenizer = CLIPTokenizer.from_pretrained(folder)
    text = "a purple dragon behind the old mill"
    assert tokenizer.decode(tokenizer(text).input_ids, skip_special_tokens=True).strip() == text
    ours = Tokenizer(folder)
    ids, regions = ours.encode([("a", -1), ("red", 2), ("car", 2)])
    assert ids[0] == ours.start and ids[-1] == ours.end and len(ids) == 77
    assert regions[0] == -1 and (regions[2:] == 2).sum() >= 2
