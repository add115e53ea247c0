"""What a ControlNet of storybook is shown: made from a scene, as a person would make it from a picture.

edges   OpenCV's Canny, white lines on black (what `attune preprocess canny` makes; equal to OpenCV's)
layout  flat colours: sky, ground and each object's silhouette in the mean colour of its pixels
depth   light is near: sky and walls black, far things dark, the ground a ramp, things as near as their feet, or as what
        they stand on
"""
from __future__ import annotations

import cv2
import numpy as np

KINDS = ("edges", "layout", "depth")
BACKS = ("sky", "wall", "plain")


def edges(image: np.ndarray, low: float = 100, high: float = 200) -> np.ndarray:
    """[H, W, 3] u8 -> [H, W] u8, 0 or 255."""
    return cv2.Canny(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), low, high)


def owners(masks: dict[str, np.ndarray]) -> tuple[list[str], np.ndarray]:
    """Whose every pixel is: names, and [H, W] indices into them."""
    names = list(masks)
    return names, np.stack([masks[n] for n in names]).argmax(0)


def layout(image: np.ndarray, masks: dict[str, np.ndarray]) -> np.ndarray:
    """-> [H, W, 3] u8."""
    names, owner = owners(masks)
    flat = np.zeros_like(image)
    for i in range(len(names)):
        own = owner == i
        if own.any():
            flat[own] = image[own].mean(0).round().astype(np.uint8)
    return flat


def depth(masks: dict[str, np.ndarray]) -> np.ndarray:
    """-> [H, W] u8."""
    names, owner = owners(masks)
    height, width = owner.shape
    rows = np.arange(height)
    ground = np.flatnonzero((owner == names.index("ground")).any(1)) if "ground" in names else np.array([height // 2])
    horizon = int(ground[0]) if len(ground) else height // 2
    ramp = np.where(rows < horizon, 40, 60 + (rows - horizon) * 180 / max(1, height - 1 - horizon))
    result = np.zeros((height, width), np.float32)
    things: list[tuple[int, int]] = []
    for i, name in enumerate(names):
        own = owner == i
        if name in BACKS or not own.any():
            continue
        if name == "ground":
            result[own] = np.broadcast_to(ramp[:, None], own.shape)[own]
        elif name == "far":
            result[own] = 30
        else:
            things.append((int(np.flatnonzero(own.any(1))[-1]), i))
    near: dict[int, float] = {}
    for foot, i in sorted(things, reverse=True):  # what others stand on comes first
        below = owner[min(foot + 2, height - 1), owner[foot] == i]
        under = [near[j] for j in np.unique(below) if j in near]
        near[i] = max(under) + 5 if under else min(255.0, ramp[foot] + 15)
        result[owner == i] = min(255.0, near[i])
    return result.round().astype(np.uint8)


def hint(kind: str, image: np.ndarray, masks: dict[str, np.ndarray]) -> np.ndarray:
    """-> [H, W, 3] u8."""
    if kind == "layout":
        return layout(image, masks)
    grey = edges(image) if kind == "edges" else depth(masks)
    return np.repeat(grey[..., None], 3, 2)
