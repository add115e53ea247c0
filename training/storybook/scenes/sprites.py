"""Sprites from the two npm packages, recoloured by material, kept in one memory-mapped cache.

Recolouring works in OKLab (Ottosson 2020): k-means over a sprite's pixels finds its materials, the largest
saturated one is "the material"; a soft membership (hue and chroma distance) avoids fringes; lightness
differences, that is shading and highlights, stay.
"""
from __future__ import annotations

import argparse
import io
import json
from pathlib import Path

import numpy as np
from PIL import Image

from .objects import COLOUR_NAMES, COLOURS, THINGS, Thing

SIZE = 192  # pixels of a cached sprite; nothing is drawn much larger
STYLES = ("3d", "flat")

_M1 = np.array([[0.4122214708, 0.5363325363, 0.0514459929],
                [0.2119034982, 0.6806995451, 0.1073969566],
                [0.0883024619, 0.2817188376, 0.6299787005]], np.float32)
_M2 = np.array([[0.2104542553, 0.7936177850, -0.0040720468],
                [1.9779984951, -2.4285922050, 0.4505937099],
                [0.0259040371, 0.7827717662, -0.8086757660]], np.float32)


def to_oklab(rgb: np.ndarray) -> np.ndarray:
    """sRGB in 0..1 [..., 3] -> OKLab [..., 3]."""
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    return np.cbrt(linear @ _M1.T) @ _M2.T


def from_oklab(lab: np.ndarray) -> np.ndarray:
    """OKLab [..., 3] -> sRGB in 0..1 [..., 3], clipped."""
    linear = (lab @ np.linalg.inv(_M2).T.astype(np.float32)) ** 3 @ np.linalg.inv(_M1).T.astype(np.float32)
    linear = np.clip(linear, 0, 1)
    return np.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear ** (1 / 2.4) - 0.055)


def _kmeans(points: np.ndarray, k: int = 6, rounds: int = 12) -> tuple[np.ndarray, np.ndarray]:
    """Lloyd's k-means on [N, 3] with farthest-point starts; returns centres [k, 3] and counts [k]."""
    centres = [points.mean(0)]
    for _ in range(k - 1):
        distance = np.min([((points - c) ** 2).sum(1) for c in centres], axis=0)
        centres.append(points[int(distance.argmax())])
    centres = np.stack(centres)
    for _ in range(rounds):
        label = ((points[:, None] - centres[None]) ** 2).sum(2).argmin(1)
        for j in range(k):
            if (label == j).any():
                centres[j] = points[label == j].mean(0)
    return centres, np.bincount(label, minlength=k)


def material(lab: np.ndarray, alpha: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The dominant material of a sprite: its mean OKLab colour [3] and the soft membership [H, W]."""
    solid = lab[alpha > 0.9]
    sample = solid[:: max(1, len(solid) // 3000)]
    scaled = sample * np.array([0.6, 2.0, 2.0], np.float32)
    centres, counts = _kmeans(scaled)
    centres = centres / np.array([0.6, 2.0, 2.0], np.float32)
    chroma = np.hypot(centres[:, 1], centres[:, 2])
    weight = counts * (0.02 + np.minimum(chroma, 0.15))
    best = centres[int(weight.argmax())]
    base_chroma = float(np.hypot(best[1], best[2]))
    pixel_chroma = np.hypot(lab[..., 1], lab[..., 2])
    if base_chroma > 0.045:
        hue = np.arctan2(lab[..., 2], lab[..., 1]) - np.arctan2(best[2], best[1])
        hue = np.abs((hue + np.pi) % (2 * np.pi) - np.pi)
        near_hue = 1 - np.clip((hue - 0.42) / 0.28, 0, 1)
        saturated = np.clip((pixel_chroma / base_chroma - 0.22) / 0.25, 0, 1)
        member = near_hue * saturated
    else:  # a grey or white thing: near in lightness, low in chroma
        member = (1 - np.clip((pixel_chroma - 0.05) / 0.04, 0, 1)) * (1 - np.clip((np.abs(lab[..., 0] - best[0]) - 0.25) / 0.15, 0, 1))
    inside = (member > 0.6) & (alpha > 0.9)
    mean = lab[inside].mean(0) if inside.any() else best
    return mean, member.astype(np.float32)


def recolour(rgba: np.ndarray, colour: str) -> np.ndarray:
    """RGBA in 0..1 [H, W, 4] with its material moved to the named colour."""
    lab = to_oklab(rgba[..., :3]).astype(np.float32)
    mean, member = material(lab, rgba[..., 3])
    light, chroma, hue = COLOURS[colour]
    base_chroma = max(float(np.hypot(mean[1], mean[2])), 0.03)
    ratio = np.clip(np.hypot(lab[..., 1], lab[..., 2]) / base_chroma, 0.45, 1.25)
    if base_chroma < 0.045:  # a grey thing has no chroma to keep the proportions of
        ratio = np.ones_like(ratio)
    contrast = {"white": 0.55, "black": 0.75, "yellow": 0.8}.get(colour, 0.9)
    out = np.empty_like(lab)
    out[..., 0] = np.clip(light + (lab[..., 0] - mean[0]) * contrast, 0.08, 0.99)
    out[..., 1] = chroma * np.cos(np.radians(hue)) * ratio
    out[..., 2] = chroma * np.sin(np.radians(hue)) * ratio
    mixed = lab + (out - lab) * member[..., None]
    return np.concatenate([from_oklab(mixed), rgba[..., 3:]], -1).astype(np.float32)


SURFBOARD = """<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 9"><defs><linearGradient id="g" x1="0" y1="0" x2="0" y2="1">
<stop offset="0" stop-color="#ff9a5c"/><stop offset="1" stop-color="#e05a1a"/></linearGradient></defs>
<path d="M1 3.2 Q8 .6 18 1.4 Q28 2.2 31 4 Q28 6.6 18 7.2 Q7 7.6 1 3.2Z" fill="{fill}"/><path d="M1 3.2 Q8 2.2 18 3 Q26 3.6 31 4 Q26 3.2 18 2.5 Q8 1.6 1 3.2Z" fill="#fff" opacity=".75"/>
<path d="M22.5 1.8 L24 2 L24 6.6 L22.5 6.9Z" fill="#fff7e8"/><path d="M4 4.9 L8 6.1 L5 8.6Z" fill="#3d3a4f"/></svg>"""
BEACHBALL = """<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><defs><radialGradient id="g" cx=".35" cy=".3" r=".8">
<stop offset="0" stop-color="#fff" stop-opacity=".55"/><stop offset=".45" stop-color="#fff" stop-opacity="0"/><stop offset="1" stop-color="#000" stop-opacity=".28"/></radialGradient></defs>
<circle cx="16" cy="16" r="14" fill="#f4f1ea"/><path d="M16 16 L16 2 A14 14 0 0 1 28.1 9Z M16 16 L28.1 23 A14 14 0 0 1 16 30Z M16 16 L3.9 23 A14 14 0 0 1 3.9 9Z" fill="#e8442e"/>{shade}</svg>"""


def _svg(text: str, size: int) -> Image.Image:
    import cairosvg

    png = cairosvg.svg2png(bytestring=text.encode(), output_width=size, output_height=size)
    return Image.open(io.BytesIO(png)).convert("RGBA")


class Sources:
    """Reads sprites out of the two unpacked npm packages."""

    def __init__(self, folder: Path):
        self.threed = next(folder.glob("*fluent-emoji-3d*/package/assets"))
        flat = next(folder.glob("*fluent-emoji-flat*/package"))
        self.icons = json.loads((flat / "icons.json").read_text())["icons"]
        self.chars = json.loads((flat / "chars.json").read_text())

    def read(self, thing: Thing, style: str) -> np.ndarray | None:
        """The sprite as RGBA in 0..1 [SIZE, SIZE, 4], cut to its silhouette and centred, or None."""
        if thing.emoji == "surfboard":
            fill = "url(#g)" if style == "3d" else "#f07a30"
            image = _svg(SURFBOARD.replace("{fill}", fill), 256)
        elif thing.emoji == "beachball":
            image = _svg(BEACHBALL.replace("{shade}", '<circle cx="16" cy="16" r="14" fill="url(#g)"/>' if style == "3d" else ""), 256)
        else:
            codes = [thing.codes, thing.codes.replace("-fe0f", ""), thing.codes + "-fe0f"]
            if style == "3d":
                path = next((p for c in codes if (p := self.threed / f"{c}.webp").exists()), None)
                if path is None:
                    return None
                image = Image.open(path).convert("RGBA")
            else:
                name = next((self.chars[c] for c in codes if c in self.chars), None)
                if name is None:
                    return None
                body = self.icons[name]["body"]
                image = _svg(f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32">{body}</svg>', 256)
        box = image.getchannel("A").point(lambda v: 255 if v > 24 else 0).getbbox()
        image = image.crop(box)
        scale = (SIZE - 2) / max(image.size)
        image = image.resize((max(1, round(image.width * scale)), max(1, round(image.height * scale))), Image.LANCZOS)
        canvas = Image.new("RGBA", (SIZE, SIZE))
        canvas.paste(image, ((SIZE - image.width) // 2, SIZE - image.height))  # stands on the lower edge
        return np.asarray(canvas, np.float32) / 255


def build(folder: Path, cache: Path, sources: Sources | None = None) -> None:
    """Writes sprites.npy [N, SIZE, SIZE, 4] u8 and sprites.json: "name|style|colour" -> row, and boxes.

    `sources`: anything with `read(thing, style)`; the two npm packages in `folder` otherwise.
    """
    sources = sources or Sources(folder)
    rows, index, boxes = [], {}, {}
    for thing in THINGS:
        for style in STYLES:
            sprite = sources.read(thing, style)
            if sprite is None:
                print("no sprite:", thing.name, style)
                continue
            alpha = sprite[..., 3] > 0.1
            ys, xs = np.where(alpha.any(1))[0], np.where(alpha.any(0))[0]
            boxes[f"{thing.name}|{style}"] = [int(xs[0]), int(ys[0]), int(xs[-1]) + 1, int(ys[-1]) + 1]
            named = COLOUR_NAMES if thing.colourable and not (style == "flat" and "F" in thing.flags) else []
            for colour in ["own", *named]:
                rgba = sprite if colour == "own" else recolour(sprite, colour)
                index[f"{thing.name}|{style}|{colour}"] = len(rows)
                rows.append(np.round(rgba * 255).astype(np.uint8))
    cache.mkdir(parents=True, exist_ok=True)
    np.save(cache / "sprites.npy", np.stack(rows))
    (cache / "sprites.json").write_text(json.dumps({"index": index, "boxes": boxes}))
    print(len(rows), "sprites")


class Sprites:
    """The cache, read through a memory map so that several processes share it."""

    def __init__(self, cache: Path):
        self.pixels = np.load(cache / "sprites.npy", mmap_mode="r")
        meta = json.loads((cache / "sprites.json").read_text())
        self.index, self.boxes = meta["index"], meta["boxes"]

    def get(self, name: str, style: str, colour: str | None) -> Image.Image:
        """The sprite cut to its box, RGBA."""
        if f"{name}|{style}|{colour or 'own'}" not in self.index:
            style = "3d" if style == "flat" else "flat"
        x0, y0, x1, y1 = self.boxes[f"{name}|{style}"]
        return Image.fromarray(np.ascontiguousarray(self.pixels[self.index[f"{name}|{style}|{colour or 'own'}"], y0:y1, x0:x1]))


def sheet(cache: Path, out: Path, style: str) -> None:
    """A contact sheet, object x colour, to be looked at before a colour is trained."""
    sprites, cell = Sprites(cache), 56
    things = [t for t in THINGS if f"{t.name}|{style}" in sprites.boxes]
    columns = 13
    rows_per_page = 26
    for page in range(0, len(things), rows_per_page * 2):
        part = things[page:page + rows_per_page * 2]
        image = Image.new("RGB", (columns * cell * 2 + 20, rows_per_page * cell), (205, 222, 215))
        for i, thing in enumerate(part):
            x0, y0 = (i // rows_per_page) * (columns * cell + 20), (i % rows_per_page) * cell
            for j, colour in enumerate([None, *COLOUR_NAMES]):
                if colour and f"{thing.name}|{style}|{colour}" not in sprites.index:
                    continue
                sprite = sprites.get(thing.name, style, colour)
                sprite.thumbnail((cell - 4, cell - 4))
                image.paste(sprite, (x0 + j * cell + 2, y0 + 2), sprite)
        image.save(out.with_name(f"{out.stem}-{style}-{page}.png"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--packages", type=Path, required=True, help="folder with the unpacked npm packages")
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--sheet", type=Path)
    args = parser.parse_args()
    build(args.packages, args.cache)
    if args.sheet:
        for style in STYLES:
            sheet(args.cache, args.sheet, style)


if __name__ == "__main__":
    main()
