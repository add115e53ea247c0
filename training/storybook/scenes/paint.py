"""Draws skies, far backgrounds and grounds into float RGB [H, W, 3], and turns a scene into a style."""
from __future__ import annotations

import numpy as np
from scipy import ndimage

from .places import Ground, Sky


def rgb(text: str) -> np.ndarray:
    """"#rrggbb" -> [3] in 0..1."""
    return np.array([int(text[i:i + 2], 16) for i in (1, 3, 5)], np.float32) / 255


def _bank() -> list[np.ndarray]:
    """Smooth noise [640, 640] in -1..1 at four scales, made once: scenes crop it."""
    rng = np.random.default_rng(7)
    bank = []
    for sigma in (1.2, 3.0, 9.0, 24.0):
        noise = ndimage.gaussian_filter(rng.standard_normal((640, 640)).astype(np.float32), sigma, mode="wrap")
        bank.append(np.clip(noise / (2.5 * noise.std()), -1, 1))
    return bank


NOISE = _bank()


def noise(rng: np.random.Generator, scale: int, height: int, width: int) -> np.ndarray:
    y, x = rng.integers(0, 640 - height), rng.integers(0, 640 - width)
    return NOISE[scale][y:y + height, x:x + width]


def gradient(top: np.ndarray, bottom: np.ndarray, height: int, width: int) -> np.ndarray:
    t = np.linspace(0, 1, height, dtype=np.float32)[:, None, None]
    return np.broadcast_to(top + (bottom - top) * t, (height, width, 3)).copy()


def blend(image: np.ndarray, colour: np.ndarray, mask: np.ndarray) -> None:
    """image += (colour - image) * mask, in place; mask [H, W]."""
    image += (colour - image) * mask[..., None]


def sky(spec: Sky, height: int, width: int, rng: np.random.Generator) -> np.ndarray:
    shift = rng.normal(0, 0.02, 3).astype(np.float32)
    image = gradient(rgb(spec.top) + shift, rgb(spec.bottom) + shift, height, width)
    yy, xx = np.mgrid[0:height, 0:width].astype(np.float32)
    if spec.extra == "stars":
        stars = np.zeros((height, width), np.float32)
        count = rng.integers(25, 55)
        ys, xs = rng.integers(0, max(2, int(height * 0.9)), count), rng.integers(1, width - 1, count)
        stars[ys, xs] = rng.uniform(0.7, 1.6, count)
        blend(image, rgb("#fff6d0"), np.clip(ndimage.gaussian_filter(stars, 0.9) * 5, 0, 1))
    if spec.extra == "aurora":
        for colour in ("#7dffb8", "#59e0c8", "#b48cff"):
            centre = height * rng.uniform(0.3, 0.65) + height * 0.12 * np.sin(xx / width * rng.uniform(4, 8) + rng.uniform(0, 6))
            blend(image, rgb(colour), 0.55 * np.exp(-((yy - centre) / (height * 0.1)) ** 2))
    for _ in range(rng.poisson(spec.clouds * 3.2)):
        cx, cy = rng.uniform(0, width), rng.uniform(0.08, 0.7) * height
        scale = rng.uniform(0.07, 0.15) * width
        mask = np.zeros((height, width), np.float32)
        for _ in range(5):
            ox, r = rng.uniform(-1.4, 1.4), rng.uniform(0.4, 0.75)
            distance = np.hypot((xx - cx - ox * scale) / (r * scale), (yy - cy + (0.55 - abs(ox) * 0.3) * r * scale * 0.6) / (r * scale * 0.75))
            mask = np.maximum(mask, np.clip((1 - distance) * 5, 0, 1))
        mask *= np.clip((cy + scale * 0.22 - yy) / 3, 0, 1)  # a flat base
        shade = 1 - 0.13 * np.clip((yy - cy + scale * 0.3) / (scale * 0.6), 0, 1)
        image += (rgb(spec.cloud) * shade[..., None] - image) * (mask * 0.92)[..., None]
    if spec.extra == "lightning" and rng.random() < 0.7:
        x, bolt = rng.uniform(0.2, 0.8) * width, np.zeros((height, width), np.float32)
        for y in range(int(height * 0.85)):
            x += rng.choice((-1.6, 1.1)) if y % 11 else rng.uniform(-7, 7)
            bolt[y, int(np.clip(x, 1, width - 2)) - 1:int(np.clip(x, 1, width - 2)) + 2] = 1
        blend(image, rgb("#fff3a0"), np.clip(ndimage.gaussian_filter(bolt, 0.7) * 1.5, 0, 1))
    return np.clip(image, 0, 1)


def weather(image: np.ndarray, spec: Sky, rng: np.random.Generator) -> None:
    """Rain and snow fall in front of everything."""
    height, width = image.shape[:2]
    if spec.extra == "rain":
        drops = np.zeros((height, width), np.float32)
        for _ in range(90):
            y, x = rng.integers(0, height - 12), rng.integers(4, width - 1)
            for k in range(11):
                drops[y + k, x - k // 4] = 0.5
        blend(image, rgb("#dbe7f2"), drops)
    elif spec.extra == "snow":
        flakes = np.zeros((height, width), np.float32)
        count = 130
        flakes[rng.integers(0, height, count), rng.integers(0, width, count)] = rng.uniform(2, 7, count)
        blend(image, rgb("#ffffff"), np.clip(ndimage.gaussian_filter(flakes, 1.1) * 1.8, 0, 0.95))


def far(name: str, height: int, width: int, horizon: int, haze: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """A far background: its colours [H, W, 3] and its mask [H, W] (0 below the horizon)."""
    xx = np.arange(width, dtype=np.float32)
    yy = np.arange(height, dtype=np.float32)[:, None]
    image = np.zeros((height, width, 3), np.float32)
    mask = np.zeros((height, width), np.float32)

    def layer(top: np.ndarray, colour: np.ndarray) -> np.ndarray:
        part = np.clip(yy - (horizon - top)[None, :] + 0.5, 0, 1) * (yy < horizon + 1)
        nonlocal image, mask
        image = image + (colour - image) * part[..., None]
        mask = np.maximum(mask, part)
        return part

    if name == "mountains":
        for depth, colour in ((0, "#8fa3bf"), (1, "#6d84a3")):
            top = np.zeros(width, np.float32)
            for _ in range(4 - depth):
                peak, at = height * rng.uniform(0.16, 0.34) * (1 - 0.3 * depth), rng.uniform(0, width)
                top = np.maximum(top, peak - np.abs(xx - at) * rng.uniform(0.5, 0.9))
            top = np.maximum(top + 2 * NOISE[1][depth, :width], 0)
            part = layer(top, rgb(colour) * 0.75 + haze * 0.25)
            snow = part * np.clip((top[None, :] - (horizon - yy)) * -0.5 + 5, 0, 1) * (top > height * 0.15)[None, :]
            image += (rgb("#f4f8fc") - image) * np.clip(snow, 0, 1)[..., None] * 0.9
    elif name == "hills":
        for colour, share in (("#8cc474", 0.16), ("#6fb257", 0.1)):
            top = height * share * (0.75 + 0.45 * np.sin(xx / width * rng.uniform(4, 9) + rng.uniform(0, 6)))
            layer(np.maximum(top, 0), rgb(colour) * 0.85 + haze * 0.15)
    elif name == "trees":
        top = np.zeros(width, np.float32)
        for _ in range(int(width / 11)):
            at, size = rng.uniform(0, width), height * rng.uniform(0.07, 0.15)
            top = np.maximum(top, size * np.sqrt(np.clip(1 - ((xx - at) / (size * 0.55)) ** 2, 0, 1)))
        layer(top, rgb("#3f7f42") * 0.85 + haze * 0.15)
    elif name == "city":
        x = 0
        while x < width:
            w, h = int(rng.integers(12, 30)), height * rng.uniform(0.1, 0.32)
            column = ((xx >= x) & (xx < x + w)).astype(np.float32)
            part = np.clip(yy - (horizon - h) + 0.5, 0, 1) * (yy < horizon + 1) * column[None, :]
            image += ((rgb("#7d8699") * rng.uniform(0.75, 1.15)) * 0.85 + haze * 0.15 - image) * part[..., None]
            lit = ((xx - x) % 6 > 2)[None, :] & ((yy - horizon) % 8 > 4) & (part > 0.9) & (yy > horizon - h + 5)
            image[lit] = rgb("#ffe9a8") * 0.9
            mask = np.maximum(mask, part)
            x += w + int(rng.integers(0, 3))
    elif name == "sea":
        top = np.full(width, height * 0.1, np.float32)
        layer(top, rgb("#3a8fd0") * 0.85 + haze * 0.15)
    return np.clip(image, 0, 1), mask


def ground(spec: Ground, height: int, width: int, rng: np.random.Generator) -> np.ndarray:
    """The ground from the horizon to the lower edge, [H, W, 3]."""
    image = gradient(rgb(spec.far), rgb(spec.near), height, width)
    yy, xx = np.mgrid[0:height, 0:width].astype(np.float32)
    depth = (yy + 8) / (height + 8)  # 0 far .. 1 near
    perspective = (xx - width * 0.5) / (0.25 + depth)
    kind = spec.texture
    soft = noise(rng, 2, height, width)[..., None]
    image *= 1 + 0.05 * soft
    if kind in ("grass", "flowers", "leaves"):
        image *= 1 + 0.09 * noise(rng, 1, height, width)[..., None] * depth[..., None]
    if kind == "flowers":
        for colour in ("#ff6fa3", "#fff3f3", "#ffd23f", "#b06be0"):
            dots = np.zeros((height, width), np.float32)
            count = 22
            dots[rng.integers(2, height, count), rng.integers(0, width, count)] = 6
            blend(image, rgb(colour), np.clip(ndimage.gaussian_filter(dots, 1.2) * 2.2, 0, 1))
    elif kind == "leaves":
        for colour in ("#c8702a", "#e0a23a", "#9c4a24"):
            dots = np.zeros((height, width), np.float32)
            dots[rng.integers(2, height, 24), rng.integers(0, width, 24)] = 6
            blend(image, rgb(colour), np.clip(ndimage.gaussian_filter(dots, (0.9, 1.6)) * 2.4, 0, 0.9))
    elif kind in ("sand", "snow"):
        image *= 1 + 0.025 * noise(rng, 0, height, width)[..., None]
        image *= 1 - 0.04 * np.clip(noise(rng, 3, height, width), 0, 1)[..., None]
    elif kind == "dunes":
        wave = np.sin(yy / (4 + 10 * depth) + 2.5 * np.sin(xx / width * 5 + rng.uniform(0, 6)))
        image *= 1 + 0.07 * wave[..., None]
    elif kind == "waves":
        wave = np.sin(yy / (1.2 + 4 * depth) + 1.6 * noise(rng, 2, height, width) * 2 + np.sin(xx / (20 + 30 * depth)))
        blend(image, rgb("#e4f6ff"), np.clip((wave - 0.78) * 3, 0, 1) * 0.45)
    elif kind == "road":
        edge = np.clip((np.abs(perspective) - width * 0.62) / 2 + 0.5, 0, 1)
        verge = gradient(rgb("#8fd05c"), rgb("#5db544"), height, width)
        image += (verge - image) * edge[..., None]
        dash = (np.abs(perspective) < width * 0.022) & (np.sin(9 / (0.15 + depth) + rng.uniform(0, 6)) > 0)
        blend(image, rgb("#f2efe2"), dash.astype(np.float32) * 0.9)
    elif kind == "furrows":
        image *= 1 + 0.13 * np.sin(perspective / 7)[..., None]
    elif kind == "ice":
        crack = np.abs(noise(rng, 3, height, width) * 3 + (xx - yy) / 90 % 1 - 0.5)
        blend(image, rgb("#ffffff"), np.clip(1 - crack * 14, 0, 1) * 0.7)
    elif kind == "tiles":
        lines = (np.abs((perspective / 34) % 1) < 0.07) | (np.abs((3.2 / (0.12 + depth)) % 1) < 0.09)
        image *= 1 - 0.14 * lines[..., None]
    elif kind == "planks":
        lines = np.abs((perspective / 30) % 1) < 0.06
        image *= (1 - 0.25 * lines + 0.05 * np.floor(perspective / 30 % 5 - 2) / 2)[..., None]
    elif kind == "checks":
        check = (np.floor(perspective / 36) + np.floor(3.4 / (0.12 + depth))) % 2
        image *= (1 - 0.16 * check)[..., None]
    elif kind == "stones":
        image *= 1 + 0.22 * np.round(noise(rng, 2, height, width) * 3)[..., None] / 3
    return np.clip(image, 0, 1)


def wall(height: int, width: int, rng: np.random.Generator) -> np.ndarray:
    base = rgb(str(rng.choice(["#f1e3c8", "#cfe0e8", "#e8d0d4", "#d6e3c8", "#e6dcf0"])))
    image = gradient(base, base * 0.93, height, width)
    if rng.random() < 0.4:
        image *= (1 - 0.04 * ((np.arange(width) // 16) % 2))[None, :, None]
    return image.astype(np.float32)


def stylise(image: np.ndarray, style: str, rng: np.random.Generator) -> np.ndarray:
    """A finished scene [H, W, 3] -> pencil sketch or watercolor; 3d and flat stay as they are."""
    height, width = image.shape[:2]
    if style == "sketch":
        grey = image.mean(-1)
        wide = ndimage.gaussian_filter(grey, 0.7)
        edge = np.hypot(ndimage.sobel(wide, 0), ndimage.sobel(wide, 1))
        line = np.clip(edge * 1.7 - 0.1, 0, 0.85)
        soft = ndimage.gaussian_filter(image, (1.2, 1.2, 0))
        tone = soft.mean(-1, keepdims=True)
        paper = np.array([0.975, 0.965, 0.94], np.float32)
        yy, xx = np.mgrid[0:height, 0:width]
        hatch = 0.5 + 0.5 * np.sin((xx + yy) * 1.3 + 2 * noise(rng, 1, height, width))
        pale = paper * (1 - 0.42) + (0.55 * soft + 0.45 * tone) * 0.42
        pale = pale - ((1 - tone) * 0.16 * hatch[..., None])
        return np.clip(pale * (1 - line[..., None]) + 0.16 * line[..., None], 0, 1).astype(np.float32)
    if style == "watercolor":
        soft = ndimage.gaussian_filter(image, (1.6, 1.6, 0))
        broad = ndimage.gaussian_filter(image, (4, 4, 0))
        edge = np.abs(soft - broad).mean(-1, keepdims=True)
        wash = 1 + 0.16 * noise(rng, 2, height, width)[..., None] + 0.05 * noise(rng, 0, height, width)[..., None]
        out = 1 - (1 - soft) * 0.82 * wash - edge * 0.5
        margin = np.minimum.reduce([*np.broadcast_arrays(
            np.arange(height)[:, None], np.arange(width)[None], height - 1 - np.arange(height)[:, None], width - 1 - np.arange(width)[None])]).astype(np.float32)
        fade = np.clip((margin + 6 * noise(rng, 2, height, width) - 4) / 8, 0, 1)[..., None]
        return np.clip(0.985 + (out - 0.985) * fade, 0, 1).astype(np.float32)
    return image
