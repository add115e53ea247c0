"""Scores a folder of pictures named by their prompt's number (0512.png; 0512-1.png is another seed of it).

    python -m storybook.evaluate --pictures FOLDER [--work WORK] [--memorised 200]

Prints Markdown and writes FOLDER/score.json. Objects, colours, counts, positions and style need the evaluator's weights
alone; comparing with real scenes needs the sprites of WORK, the search for memorised scenes its latents and VAE.
"""
from __future__ import annotations

import argparse
import json
import os
from pathlib import Path

import numpy as np
from PIL import Image

from .distance import frechet, mean_sharpness, spread
from .facts import Prompt, load_prompts
from .network import Evaluator, recall
from .read import Reading, read
from .score import score_table, tally
from .tables import table
from .wordmaps import MapTally

Numbered = dict[int, tuple[str, Prompt, int]]  # id -> set, prompt, position in its set


def numbered() -> Numbered:
    return {p["id"]: (name, p, i) for name, prompts in load_prompts().items() for i, p in enumerate(prompts)}


def find(folder: Path, known: Numbered) -> tuple[dict[int, Path], dict[int, list[Path]]]:
    """The first picture of each prompt, and all pictures of those that have several seeds."""
    first: dict[int, Path] = {}
    groups: dict[int, list[Path]] = {}
    for path in sorted(folder.glob("[0-9]*.png")):
        number, _, seed = path.stem.partition("-")
        if not number.isdigit() or int(number) not in known:
            continue
        if not seed:
            first[int(number)] = path
        groups.setdefault(int(number), []).append(path)
    return first, {k: v for k, v in groups.items() if len(v) > 1}


def load(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


def compare(model: Evaluator, work: Path, known: Numbered, ids: list[int], pictures: list[np.ndarray], readings: list[Reading]) -> tuple[dict, str]:
    """Pictures against the very scenes of their prompts."""
    from .reference import Scenes

    rows = [i for i, number in enumerate(ids) if "scene" in known[number][1]]
    scenes = Scenes(work)
    real = [scenes.of(known[ids[i]][0], known[ids[i]][1], known[ids[i]][2]) for i in rows]
    seen = read(model, real)
    tallies = tally((known[ids[i]][0], known[ids[i]][1], r) for i, r in zip(rows, seen, strict=True))
    a, b = np.stack([readings[i].features for i in rows]), np.stack([r.features for r in seen])
    # Half of the real scenes against the other half, and as many pictures: what this distance says of equals.
    half = len(rows) // 2
    mine, theirs = mean_sharpness([pictures[i] for i in rows]), mean_sharpness(real)
    result = {"pictures": len(rows), "frechet": frechet(a, b), "frechet_half": frechet(a[:half], b[half:2 * half]),
              "frechet_half_real": frechet(b[:half], b[half:2 * half]),
              "gradient": mine[0], "gradient_real": theirs[0], "laplacian": mine[1], "laplacian_real": theirs[1],
              "real": {k: t.as_json() for k, t in tallies.items()}}
    text = "The real scenes of the same prompts, read by the same evaluator (what could be had):\n\n" + score_table(tallies) + "\n" + table(
        ["against real scenes", "pictures", "real scenes"], [
            ["Fréchet distance", f"{result['frechet']:.2f}", "0"],
            [f"Fréchet distance, {half} against {half} others", f"{result['frechet_half']:.2f}", f"{result['frechet_half_real']:.2f}"],
            ["sharpness: mean gradient", f"{mine[0]:.4f}", f"{theirs[0]:.4f}"],
            ["sharpness: Laplacian energy", f"{mine[1]:.5f}", f"{theirs[1]:.5f}"]])
    return result, text


def diversity(model: Evaluator, work: Path, known: Numbered, groups: dict[int, list[Path]]) -> tuple[dict, str]:
    """Variance of features over the seeds of a caption, against as many real scenes that fit the caption."""
    from .reference import Scenes

    scenes, mine, theirs = Scenes(work), [], []
    for number, paths in groups.items():
        name, prompt, _ = known[number]
        if name != "single":  # only there it is known what the words leave open
            continue
        mine.append(np.stack([r.features for r in read(model, [load(p) for p in paths])]))
        theirs.append(np.stack([r.features for r in read(model, scenes.alike(prompt, len(paths)))]))
    if not mine:
        return {}, ""
    result = {"captions": len(mine), "variance": spread(mine), "variance_real": spread(theirs)}
    share = result["variance"] / result["variance_real"]
    return result, table(["diversity over seeds", "pictures", "real scenes", "share"],
                         [[f"{len(mine)} captions", f"{result['variance']:.3f}", f"{result['variance_real']:.3f}", f"{100 * share:.0f} %"]])


def by_heart(work: Path, names: list[str], pictures: list[np.ndarray], out: Path) -> tuple[dict, str]:
    """Distances to the nearest training latent, of pictures and of as many held-out scenes."""
    from ..scenes.chunks import HELD_OUT, chunk_path
    from .memorised import latents_of, nearest, sheet

    held = np.load(chunk_path(work, HELD_OUT, 256, 256) / "images.npy", mmap_mode="r")[:len(pictures)]
    best, where = nearest(work, latents_of(work, pictures))
    real, _ = nearest(work, latents_of(work, list(held)))
    sheet(work, pictures, names, best, where, out)
    marks = (0, 5, 50)
    result = {"pictures": len(pictures), "distance": np.percentile(best, marks).tolist(), "distance_held_out": np.percentile(real, marks).tolist(),
              "nearest": [[n, round(float(d), 3), *w] for n, d, w in zip(names, best, where, strict=True)]}
    rows = [[what, *(f"{v:.3f}" for v in values)] for what, values in
            ((f"{len(pictures)} pictures", result["distance"]), (f"{len(held)} held-out scenes", result["distance_held_out"]))]
    return result, table(["distance to the nearest training latent", "smallest", "5 %", "median"], rows) + f"\nThe nearest ones: {out.name}\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=Path, required=True)
    parser.add_argument("--work", type=Path, default=os.environ.get("ATTUNE_TRAINING_DIR"), help="else $ATTUNE_TRAINING_DIR; without one nothing is compared with real scenes")
    parser.add_argument("--memorised", type=int, default=200, help="pictures to look for among the training latents, 0 for none")
    args = parser.parse_args()
    known, model, work = numbered(), recall(), Path(args.work) if args.work else None
    first, groups = find(args.pictures, known)
    if not first:
        raise SystemExit(f"no pictures like 0000.png in {args.pictures}")
    ids = sorted(first)
    pictures = [load(first[number]) for number in ids]
    readings = read(model, pictures)
    tallies = tally((*known[number][:2], reading) for number, reading in zip(ids, readings, strict=True))
    result: dict = {"pictures": len(ids), "sets": {k: t.as_json() for k, t in tallies.items()}}
    parts = [f"{len(ids)} pictures:\n\n" + score_table(tallies)]

    maps = MapTally()
    for number, reading in zip(ids, readings, strict=True):
        file = first[number].with_suffix(".npy")
        if file.exists():
            maps.add(known[number][1], reading, np.load(file))
    if maps.words + maps.unfound:
        result["maps"] = told = maps.as_json()
        parts.append(table(["words with a map", "peak inside the object", "chance", "mean IoU", "object not found"],
                           [[str(told["words"]), f"{100 * told['peak_inside']:.1f} %", f"{100 * told['chance']:.1f} %", f"{told['mean_iou']:.2f}", str(told["not_found"])]]))
    if work and (work / "sprites.json").exists():
        if len([n for n in ids if "scene" in known[n][1]]) >= 4:
            result["against_real"], text = compare(model, work, known, ids, pictures, readings)
            parts.append(text)
        if groups:
            result["diversity"], text = diversity(model, work, known, groups)
            parts.append(text)
        square = [i for i, p in enumerate(pictures) if p.shape == (256, 256, 3)][:args.memorised]
        if square and (work / "vae.pt").exists():
            result["memorised"], text = by_heart(work, [f"{ids[i]:04d}" for i in square], [pictures[i] for i in square], args.pictures / "memorised.jpg")
            parts.append(text)
    (args.pictures / "score.json").write_text(json.dumps(result, indent=1) + "\n")
    print("\n".join(p for p in parts if p))


if __name__ == "__main__":
    main()
