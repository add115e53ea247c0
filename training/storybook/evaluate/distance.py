"""Sets of pictures against sets of real scenes: Fréchet distance, sharpness, diversity over seeds."""
from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import linalg, ndimage


def frechet(a: np.ndarray, b: np.ndarray) -> float:
    """Features [N, F] and [M, F] -> the Fréchet distance of the two normal distributions (Heusel et al. 2017).

    Biased upward for few pictures: compare only equal numbers, and with the distance of as many real scenes.
    """
    mean = a.mean(0).astype(np.float64) - b.mean(0)
    one, two = (np.cov(x.astype(np.float64), rowvar=False) + 1e-6 * np.eye(x.shape[1]) for x in (a, b))
    # The trace of sqrt(one @ two) through a symmetric product: real for singular covariances too.
    root = linalg.sqrtm(one).real
    middle = np.linalg.eigvalsh(root @ two @ root).clip(0)
    return float(max(0.0, mean @ mean + np.trace(one) + np.trace(two) - 2 * np.sqrt(middle).sum()))


def sharpness(picture: np.ndarray) -> tuple[float, float]:
    """[H, W, 3] u8 -> mean size of the gradient and mean squared Laplacian of its lightness, at 0..1."""
    grey = picture.astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32) / 255
    dy, dx = grey[1:, :-1] - grey[:-1, :-1], grey[:-1, 1:] - grey[:-1, :-1]
    return float(np.hypot(dx, dy).mean()), float((ndimage.laplace(grey) ** 2).mean())


def mean_sharpness(pictures: Sequence[np.ndarray]) -> tuple[float, float]:
    gradient, laplacian = np.mean([sharpness(p) for p in pictures], axis=0)
    return float(gradient), float(laplacian)


def spread(groups: Sequence[np.ndarray]) -> float:
    """Groups of features [N_g, F], one a caption -> the mean over captions of the total variance within."""
    return float(np.mean([g.var(0, ddof=1).sum() for g in groups]))
