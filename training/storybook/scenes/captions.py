"""Captions: words that each know the region they name. A caption may leave things out, it never adds any.

A caption is a list of (word, key); key names a region of the scene or is "" for a word that names none.
Punctuation is a word of its own, so that word-by-word tokenization equals the tokenization of the text.
"""
from __future__ import annotations

import numpy as np

from .objects import COLOUR_SYNONYMS, Thing

Words = list[tuple[str, str]]
SILENT = {"a", "an", "the", "on", "in", "at", "of", "with", "under", "among", "full", "to", "and", "background", "day", "over"}
NUMBERS = {1: "one", 2: "two", 3: "three", 4: "four"}
FILLERS = ("cute", "lovely", "little", "beautiful", "nice", "pretty", "happy", "adorable")
PREFIXES = (("a", "photo", "of"), ("a", "picture", "of"), ("an", "image", "of"), ("a", "photograph", "of"), ("a", "drawing", "of"), ("an", "illustration", "of"))
SUFFIXES = (("highly", "detailed"), ("best", "quality"), ("masterpiece",), ("4k",), ("storybook", "illustration"), ("sharp", "focus"),
            ("beautiful", "lighting"), ("children", "'s", "book"), ("colorful",), ("cute",), ("trending", "on", "artstation"))
STYLE_PREFIXES = {
    "3d": (("a", "3d", "render", "of"), ("a", "3d", "model", "of")),
    "flat": (("a", "flat", "illustration", "of"), ("flat", "vector", "art", "of"), ("a", "cartoon", "of")),
    "sketch": (("a", "pencil", "sketch", "of"), ("a", "pencil", "drawing", "of"), ("a", "sketch", "of")),
    "watercolor": (("a", "watercolor", "painting", "of"), ("a", "watercolor", "of"), ("a", "watercolour", "painting", "of")),
}
STYLE_SUFFIXES = {
    "3d": (("3d", "render"), ("3d",)), "flat": (("flat", "style"), ("flat", "illustration"), ("vector", "art")),
    "sketch": (("pencil", "sketch"), ("pencil", "drawing")), "watercolor": (("watercolor",), ("watercolor", "painting")),
}
NO_ARTICLE = {"northern lights", "storm clouds"}


def silent(words: tuple[str, ...] | str) -> Words:
    return [(w, "") for w in (words.split() if isinstance(words, str) else words)]


def phrase(text: str, key: str) -> Words:
    """A place or sky phrase: its content words name the region."""
    return [(w, "" if w in SILENT else key) for w in text.split()]


def article(word: str) -> str:
    return "an" if word[0] in "aeiou" and not word.startswith(("uni", "ufo")) else "a"


def noun(thing: Thing, colour: str | None, count: int, size: str, key: str, rng: np.random.Generator, definite: bool = False) -> Words:
    """"a small red car", "two cats", "the blue house": every content word names the thing's region."""
    pick = 0 if len(thing.names) == 1 or rng.random() < 0.7 else int(rng.integers(1, len(thing.names)))
    words: list[str] = []
    if size:
        words.append(size)
    if rng.random() < 0.06:
        words.append(str(rng.choice(FILLERS)))
    if colour:
        synonyms = COLOUR_SYNONYMS.get(colour)
        words.append(str(rng.choice(synonyms)) if synonyms and rng.random() < 0.3 else colour)
    words += thing.names[pick][0 if count == 1 else 1].split()
    if count > 1:
        head: Words = [(NUMBERS[count], key)]
    else:
        draw = rng.random()
        head = [("the", "")] if definite or draw < 0.05 else [] if draw < 0.1 else [(article(words[0]), "")]
    return head + [(w, key) for w in words]


def sky_words(text: str, rng: np.random.Generator) -> Words:
    """"under a blue sky" and its kin."""
    lead = [] if text in NO_ARTICLE else [(article(text), "")]
    how = str(rng.choice(("under", "under", "under", "with", "and", ",")))
    tail = silent("above") if how == "and" else []
    if how == ",":
        return silent(",") + phrase(text, "sky")
    return silent(how) + lead + phrase(text, "sky") + tail


def assemble(subject: Words, ground: Words, sky: Words, far: Words, moment: Words, style: str, say_style: bool, rng: np.random.Generator) -> Words:
    """Puts the parts into one of several orders, with style and filler words around."""
    middle = [part for part in (ground, sky, moment) if part]
    if len(middle) > 1 and rng.random() < 0.2:
        middle = middle[::-1]
    words = list(subject)
    first = bool(ground) and rng.random() < 0.08  # "on the beach, a red car"
    if first:
        words, middle = ground + silent(",") + words, [m for m in middle if m is not ground]
    for part in middle:
        words += part
    words += far
    draw = rng.random()
    if say_style:
        if draw < 0.6 and not first:
            words = silent(STYLE_PREFIXES[style][int(rng.integers(len(STYLE_PREFIXES[style])))]) + words
        else:
            words = words + silent(",") + silent(STYLE_SUFFIXES[style][int(rng.integers(len(STYLE_SUFFIXES[style])))])
    elif draw < 0.08 and style == "3d" and not first:
        words = silent(PREFIXES[int(rng.integers(len(PREFIXES)))]) + words
    if rng.random() < 0.08:
        words = words + silent(",") + silent(SUFFIXES[int(rng.integers(len(SUFFIXES)))])
        if rng.random() < 0.4:
            words = words + silent(",") + silent(SUFFIXES[int(rng.integers(len(SUFFIXES)))])
    return words


def text_of(words: Words) -> str:
    return " ".join(w for w, _ in words).replace(" ,", ",").replace(" '", "'")
