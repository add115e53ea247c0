"""Did the model learn scenes by heart? The nearest training latent of pictures, and of real scenes for comparison."""
from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw

from ..scenes.captions import text_of
from ..scenes.chunks import HELD_OUT
from ..scenes.compose import Composer
from ..scenes.sprites import Sprites


def latents_of(work: Path, pictures: list[np.ndarray]) -> torch.Tensor:
    """Pictures of 256x256 -> unit-normal latents [N, 4096], as the training scenes were encoded."""
    from ..latents import encode, load_vae

    vae, _ = load_vae(work, torch.device("cpu"))
    stats = torch.load(work / "latent_stats.pt", weights_only=True)
    z = encode(vae, np.stack(pictures), torch.device("cpu"))
    return ((z - stats["mean"][:, None, None]) / stats["std"][:, None, None]).flatten(1)


def nearest(work: Path, latents: torch.Tensor) -> tuple[np.ndarray, list[tuple[str, int]]]:
    """[N, D] -> root mean square distance [N] to the nearest training latent of the same shape, and which (chunk, row)."""
    best, where = np.full(len(latents), np.inf), [("", 0)] * len(latents)
    for path in sorted((work / "chunks").glob("*-256x256")):
        if int(path.name.split("-")[0]) >= HELD_OUT or not (path / "latents.npy").exists():
            continue
        known = torch.from_numpy(np.load(path / "latents.npy").astype(np.float32)).flatten(1)
        distances = torch.cdist(latents, known).div_(known.shape[1] ** 0.5)
        values, rows = distances.min(1)
        for i in np.nonzero(values.numpy() < best)[0]:
            best[i], where[i] = float(values[i]), (path.name, int(rows[i]))
    return best, where


def sheet(work: Path, pictures: list[np.ndarray], names: list[str], best: np.ndarray, where: list[tuple[str, int]], out: Path, shown: int = 24) -> None:
    """The pictures that come nearest to a training scene, each above that scene (drawn again from its seed)."""
    composer, columns, cell = Composer(Sprites(work)), 8, 132
    order = np.argsort(best)[:shown]
    rows = -(-len(order) // columns)
    image = Image.new("RGB", (columns * cell, rows * (2 * cell + 26)), "white")
    pen = ImageDraw.Draw(image)
    for n, i in enumerate(order):
        x, y = (n % columns) * cell, (n // columns) * (2 * cell + 26)
        chunk, row = where[i]
        scene = composer.draw(np.random.default_rng((int(chunk.split("-")[0]), row)))
        words = json.loads((work / "chunks" / chunk / "words.json").read_text())[row]
        image.paste(Image.fromarray(pictures[i]).resize((128, 128), Image.BOX), (x, y))
        image.paste(Image.fromarray(scene.image).resize((128, 128), Image.BOX), (x, y + cell - 2))
        pen.text((x, y + 2 * cell - 4), f"{names[i]}  {best[i]:.2f}\n{text_of(words)[:22]}", fill="black")
    image.save(out)
