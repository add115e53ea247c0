"""How well does the evaluator read real scenes that it never saw? Ordinary scenes as the model learns them, no crowds.

    python -m storybook.evaluate.accuracy --work WORK [--count 2000] [--decoded]
"""
from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

from ..common import work_folder
from ..scenes.compose import Composer, Mix, Scene
from ..scenes.objects import THINGS
from ..scenes.sprites import Sprites
from .drawing import OBJECT, TEST_SEED
from .network import recall
from .read import PRESENT, Reading, read
from .tables import table

# Every object equally likely: else the twenty iconic ones would decide.
BALANCED = Mix(iconic=0.0)


def draw(work: Path, count: int, mix: Mix = BALANCED) -> list[Scene]:
    composer = Composer(Sprites(work), mix)
    return [composer.draw(np.random.default_rng((TEST_SEED, i))) for i in range(count)]


def through_the_decoder(work: Path, images: list[np.ndarray]) -> list[np.ndarray]:
    """Encoded and decoded again: how pictures look that a perfect UNet would draw."""
    import torch

    from ..latents import load_vae
    from ..train_vae import to_tensor

    vae, _ = load_vae(work, torch.device("cpu"))
    out = []
    with torch.no_grad():
        for i in range(0, len(images), 16):
            z = vae.encode(to_tensor(np.stack(images[i:i + 16]), torch.device("cpu"))).latent_dist.mode()
            x = vae.decode(z).sample.clamp(-1, 1)
            out += list(((x.permute(0, 2, 3, 1).numpy() + 1) * 127.5).round().astype(np.uint8))
    return out


def accuracy(scenes: list[Scene], readings: list[Reading]) -> dict[str, float]:
    """Shares of right answers, and how many answers each rests on ("... of").

    Presence is balanced: the mean over objects of the share found where it is, and of the share not seen where it is not.
    """
    there = np.zeros((len(scenes), len(THINGS)), bool)
    for i, scene in enumerate(scenes):
        for thing in scene.facts["things"]:
            there[i, OBJECT[thing["name"]]] = True
    seen = np.stack([r.cells.max((1, 2)) > PRESENT for r in readings])
    shown = there.any(0)
    found = np.array([seen[there[:, k], k].mean() for k in np.nonzero(shown)[0]])
    absent = np.array([(~seen[~there[:, k], k]).mean() for k in np.nonzero(shown)[0]])
    tally: dict[str, list[bool]] = {k: [] for k in ("colour", "count", "count above one", "left or right", "style", "sky", "ground")}
    for scene, reading in zip(scenes, readings, strict=True):
        facts = scene.facts
        for thing in facts["things"]:
            if reading.presence(thing["name"]) <= PRESENT:
                continue  # not found: told by presence already
            if thing["colour"]:
                tally["colour"].append(reading.colour(thing["name"]) == thing["colour"])
            right = reading.count(thing["name"]) == thing["count"]
            tally["count"].append(right)
            if thing["count"] > 1:
                tally["count above one"].append(right)
        if facts.get("relation") in ("left", "right"):
            a, b = (thing["name"] for thing in facts["things"][:2])
            if min(reading.presence(a), reading.presence(b)) > PRESENT:
                tally["left or right"].append((reading.place(a)[0] < reading.place(b)[0]) == (facts["relation"] == "left"))
        tally["style"].append(reading.style == facts["style"])
        tally["sky"].append(reading.sky == facts.get("sky", ""))
        tally["ground"].append(reading.ground == facts.get("ground", ""))
    out = {"presence, balanced": float((found.mean() + absent.mean()) / 2), "found where it is": float(found.mean()),
           "found, of all things": float(seen[there].mean()), "not seen where it is not": float(absent.mean()),
           "false finds a picture": float((seen & ~there).sum(1).mean())}
    for key, rows in tally.items():
        out[key], out[key + ", of"] = float(np.mean(rows)) if rows else float("nan"), len(rows)
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path)
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--decoded", action="store_true", help="also read the scenes after encoder and decoder")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    work, model = work_folder(args.work), recall()
    scenes = draw(work, args.count)
    images = [scene.image for scene in scenes]
    columns = {"real scenes": accuracy(scenes, read(model, images))}
    if args.decoded:
        part = scenes[:400]
        columns["the first 400 through the VAE"] = accuracy(part, read(model, through_the_decoder(work, [s.image for s in part])))
    keys = [k for k in columns["real scenes"] if not k.endswith(", of")]

    def cell(values: dict[str, float], key: str) -> str:
        return f"{values[key]:.3f}" if key.startswith("false") else f"{100 * values[key]:.1f} %"

    rows = [[k, *(cell(c, k) for c in columns.values()), str(columns["real scenes"].get(k + ", of", ""))] for k in keys]
    print(table([f"{args.count} scenes", *columns, "answers"], rows))
    if args.json:
        args.json.write_text(json.dumps(columns, indent=1) + "\n")


if __name__ == "__main__":
    main()
