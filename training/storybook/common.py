"""What the trainers share: device, schedule by wall clock, EMA, atomic checkpoints."""
from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import nn

from .fused import bf16_pays


def work_folder(given: Path | None) -> Path:
    """Where sprites, scenes and checkpoints live: --work, else ATTUNE_TRAINING_DIR, else training/.work."""
    folder = given or Path(os.environ.get("ATTUNE_TRAINING_DIR", Path(__file__).resolve().parents[1] / ".work"))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def pick_device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def autocast(device: torch.device) -> contextlib.AbstractContextManager:
    """bf16 on CUDA and on processors that multiply it themselves (avx512_bf16, amx); f32 elsewhere. Weights stay f32."""
    if device.type == "cuda" or (device.type == "cpu" and bf16_pays()):
        return torch.autocast(device.type, torch.bfloat16)
    return contextlib.nullcontext()


def rate(progress: float, warm: float = 0.01, decay: float = 0.6) -> float:
    """Share of the peak learning rate: short warm-up, constant, then linear to (almost) zero over the last `decay`."""
    return min(1.0, progress / warm + 0.05, max(0.02, (1 - progress) / decay))


class Clock:
    """Training time that survives restarts; `progress` runs from 0 to 1 over the planned minutes."""

    def __init__(self, minutes: float, spent: float = 0.0):
        self.minutes, self.before, self.begun = minutes, spent, time.monotonic()

    @property
    def spent(self) -> float:
        """Seconds, earlier runs included."""
        return self.before + time.monotonic() - self.begun

    @property
    def progress(self) -> float:
        return min(1.0, self.spent / (self.minutes * 60))


class EMA:
    """Moving average of a module's parameters with a ramped decay: young averages forget fast."""

    def __init__(self, module: nn.Module, decay: float):
        self.decay = decay
        self.shadow = {k: v.detach().clone() for k, v in module.state_dict().items()}

    @torch.no_grad()
    def update(self, module: nn.Module, iteration: int) -> None:
        decay = min(self.decay, (1 + iteration) / (12 + iteration))
        mine, theirs = [], []
        for key, value in module.state_dict().items():
            if value.dtype.is_floating_point:
                mine.append(self.shadow[key])
                theirs.append(value.detach())
        torch._foreach_lerp_(mine, theirs, 1 - decay)

    @contextlib.contextmanager
    def swapped(self, module: nn.Module) -> Iterator[None]:
        """The module with averaged weights for the length of a `with`."""
        kept = {k: v.detach().clone() for k, v in module.state_dict().items()}
        module.load_state_dict(self.shadow)
        try:
            yield
        finally:
            module.load_state_dict(kept)


def save(path: Path, state: dict) -> None:
    """Atomic: a killed process leaves the last whole checkpoint."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".tmp")
    torch.save(state, temporary)
    os.replace(temporary, path)


def load(path: Path, device: torch.device) -> dict | None:
    return torch.load(path, map_location=device, weights_only=True) if path.exists() else None


class Stop:
    """True after SIGTERM or SIGINT: the trainer saves and leaves."""

    def __init__(self) -> None:
        self.asked = False
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._ask)

    def _ask(self, *_: object) -> None:
        self.asked = True
