"""CLIP-format byte-level BPE: trained on captions and common English, written as vocab.json and merges.txt.

CLIP's rules: lower case, whitespace collapsed, its word pattern, bytes seen as printable characters, "</w>" at a
word's end; the vocabulary is the 256 bytes, the 256 bytes with </w>, one token a merge, and two specials.
"""
from __future__ import annotations

import argparse
import json
from collections import Counter
from functools import lru_cache
from pathlib import Path

import numpy as np

from .common import work_folder
from .networks import TOKENS
from .scenes.captions import FILLERS, PREFIXES, STYLE_PREFIXES, STYLE_SUFFIXES, SUFFIXES
from .scenes.objects import COLOUR_NAMES, COLOUR_SYNONYMS, THINGS
from .scenes.places import FARS, GROUNDS, SKIES

START, END = "<|startoftext|>", "<|endoftext|>"


def byte_letters() -> dict[int, str]:
    """GPT-2's and CLIP's byte -> printable character table."""
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    table, extra = {b: chr(b) for b in printable}, 0
    for b in range(256):
        if b not in table:
            table[b] = chr(256 + extra)
            extra += 1
    return table


LETTERS = byte_letters()


def corpus() -> Counter[str]:
    """Words with their weights: everything captions can say, then common English."""
    words: Counter[str] = Counter()
    for thing in THINGS:
        for pair in thing.names:
            for text in pair:
                words.update({w: 60 for w in text.split()})
    for text in [*COLOUR_NAMES, *(s for group in COLOUR_SYNONYMS.values() for s in group), *FILLERS]:
        words[text] += 60
    for place in [*SKIES, *GROUNDS]:
        for text in (*place.phrases, *place.moments):
            words.update({w: 40 for w in text.split()})
    for phrases in [FARS.values(), STYLE_PREFIXES.values(), STYLE_SUFFIXES.values()]:
        for group in phrases:
            for text in group:
                words.update({w: 40 for w in (text.split() if isinstance(text, str) else text)})
    for group in (PREFIXES, SUFFIXES):
        for text in group:
            words.update({w: 40 for w in text})
    for w in "a an the of on in at under above below behind next to left right front top over near beside with and one two three four big small large tiny , . - ( )".split():
        words[w] += 80
    words.update({w: 4 for w in (Path(__file__).parent / "words.txt").read_text().split()})
    split: Counter[str] = Counter()
    for word, weight in words.items():  # "t-rex" is three words to CLIP's pattern
        for part in word.replace("-", " - ").replace("'", " '").split():
            split[part] += weight
    return split


def train(size: int) -> tuple[dict[str, int], list[tuple[str, str]]]:
    """Plain BPE: the most frequent pair is merged until the vocabulary has `size` tokens."""
    words = [([LETTERS[b] for b in w.encode()], n) for w, n in corpus().items()]
    words = [([*s[:-1], s[-1] + "</w>"], n) for s, n in words]
    letters = list(LETTERS.values())
    order = sorted(LETTERS, key=lambda b: (b not in range(33, 127), b))  # any fixed order will do
    letters = [LETTERS[b] for b in order]
    tokens = letters + [c + "</w>" for c in letters]
    merges: list[tuple[str, str]] = []
    while len(tokens) + 2 < size:
        pairs: Counter[tuple[str, str]] = Counter()
        for symbols, n in words:
            for pair in zip(symbols, symbols[1:], strict=False):
                pairs[pair] += n
        if not pairs:
            break
        best = max(pairs, key=lambda p: (pairs[p], p))
        merged = best[0] + best[1]
        merges.append(best)
        tokens.append(merged)
        for symbols, _ in words:
            i = 0
            while i < len(symbols) - 1:
                if (symbols[i], symbols[i + 1]) == best:
                    symbols[i:i + 2] = [merged]
                i += 1
    return {t: i for i, t in enumerate([*dict.fromkeys(tokens), START, END])}, merges


def write(folder: Path, size: int = 1478) -> None:
    """A tokenizer folder that transformers' CLIPTokenizer loads."""
    vocabulary, merges = train(size)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.json").write_text(json.dumps(vocabulary, ensure_ascii=False))
    (folder / "merges.txt").write_text("#version: 0.2\n" + "\n".join(" ".join(m) for m in merges) + "\n")
    special = {"bos_token": START, "eos_token": END, "unk_token": END, "pad_token": END}
    (folder / "special_tokens_map.json").write_text(json.dumps(special, indent=2) + "\n")
    (folder / "tokenizer_config.json").write_text(json.dumps(
        {**special, "add_prefix_space": False, "do_lower_case": True, "errors": "replace", "model_max_length": TOKENS, "tokenizer_class": "CLIPTokenizer"}, indent=2) + "\n")


class Tokenizer:
    """A small, exact encoder for captions given word by word (each token keeps its word's region)."""

    def __init__(self, folder: Path):
        self.vocabulary: dict[str, int] = json.loads((folder / "vocab.json").read_text())
        lines = (folder / "merges.txt").read_text().splitlines()[1:]
        self.rank = {tuple(line.split()): i for i, line in enumerate(lines) if line}
        self.start, self.end = self.vocabulary[START], self.vocabulary[END]
        self.word = lru_cache(maxsize=20000)(self._word)

    def _word(self, word: str) -> tuple[int, ...]:
        """One word (letters, or digits one by one, or punctuation) -> token ids."""
        symbols = [LETTERS[b] for b in word.encode()]
        symbols[-1] += "</w>"
        while len(symbols) > 1:
            pairs = list(zip(symbols, symbols[1:], strict=False))
            best = min(pairs, key=lambda p: self.rank.get(p, 1 << 30))
            if best not in self.rank:
                break
            merged, i = [], 0
            while i < len(symbols):
                if i + 1 < len(symbols) and (symbols[i], symbols[i + 1]) == best:
                    merged.append(symbols[i] + symbols[i + 1])
                    i += 2
                else:
                    merged.append(symbols[i])
                    i += 1
            symbols = merged
        return tuple(self.vocabulary[s] for s in symbols)

    def parts(self, word: str) -> list[str]:
        """CLIP's pattern on one caption word: letters together, each digit alone, runs of other signs."""
        out: list[str] = []
        for c in word.lower():
            kind = "a" if c.isalpha() else "0" if c.isdigit() else "."
            last = out[-1][-1] if out else ""
            same = last and kind != "0" and (last.isalpha() if kind == "a" else not last.isalnum())
            if out and same or word in ("'s", "'t") and out:
                out[-1] += c
            else:
                out.append(c)
        return out

    def encode(self, words: list[tuple[str, int]]) -> tuple[np.ndarray, np.ndarray]:
        """[(word, region)] -> ids [77] i16 and the region of each token [77] i8 (-1: none)."""
        ids, regions = [self.start], [-1]
        for word, region in words:
            for part in self.parts(word):
                tokens = self.word(part)
                ids += tokens
                regions += [region] * len(tokens)
        ids, regions = ids[:TOKENS - 1], regions[:TOKENS - 1]
        pad = TOKENS - len(ids)
        return np.array(ids + [self.end] * pad, np.int16), np.array(regions + [-1] * pad, np.int8)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path)
    parser.add_argument("--size", type=int, default=1478)
    args = parser.parse_args()
    write(work_folder(args.work) / "tokenizer", args.size)


if __name__ == "__main__":
    main()
