"""Fast training on processors: bf16 where they have it, channels-last, and GroupNorm fused with SiLU (fused.cpp).

torch's own GroupNorm backward takes a third of the autoencoder's time. The fused one is compiled at first use with
the machine's C++ compiler; without one, on CUDA and for layouts it does not know, torch's operators stay in place.
"""
from __future__ import annotations

import ctypes
import functools
import hashlib
import os
import platform
import shutil
import subprocess
import tempfile
from pathlib import Path

import torch
import torch.nn.functional as F
from diffusers.models.resnet import ResnetBlock2D
from torch import Tensor, nn

SOURCE = Path(__file__).with_name("fused.cpp")
FLAGS = ("-O3", "-march=native", "-ffast-math", "-shared", "-fPIC", "-Wno-psabi")
BLOCK = 16  # channels have to be a multiple of it


def bf16_pays() -> bool:
    """Whether this processor multiplies bf16 matrices itself (avx512_bf16 or amx)."""
    return any(ask() for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported") if (ask := getattr(torch.cpu, name, None)))


@functools.cache
def library() -> ctypes.CDLL | None:
    """The compiled kernels, or None where they cannot be built. Built once for a source and a processor."""
    compiler = shutil.which("g++") or shutil.which("c++")
    if compiler is None or platform.machine() not in ("x86_64", "AMD64"):
        return None
    key = hashlib.sha256(SOURCE.read_bytes() + torch.backends.cpu.get_cpu_capability().encode() + str(bf16_pays()).encode()).hexdigest()[:16]
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "attune"
    target = cache / f"fused-{key}.so"
    try:
        if not target.exists():
            cache.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=cache) as folder:
                made = Path(folder) / "fused.so"
                subprocess.run([compiler, *FLAGS, "-o", made, SOURCE], check=True, capture_output=True)
                os.replace(made, target)
        return ctypes.CDLL(str(target))
    except (OSError, subprocess.CalledProcessError) as error:
        print(f"fused kernels not built, torch's stay in use: {error}", flush=True)
        return None


def _pointer(x: Tensor) -> ctypes.c_void_p:
    return ctypes.c_void_p(x.data_ptr())


def _suffix(x: Tensor) -> str:
    return "bf16" if x.dtype == torch.bfloat16 else "f32"


class _Norm(torch.autograd.Function):
    """x [B, C, H, W] channels-last, f32 or bf16 -> the same; statistics in f32."""

    @staticmethod
    def forward(ctx, x: Tensor, weight: Tensor, bias: Tensor, groups: int, eps: float, silu: bool) -> Tensor:
        batch, channels, height, width = x.shape
        y = torch.empty_like(x, memory_format=torch.channels_last)
        mean, rstd = x.new_empty((2, batch, groups), dtype=torch.float32).unbind()
        getattr(library(), f"forward_{_suffix(x)}")(
            _pointer(x), _pointer(weight), _pointer(bias), _pointer(y), _pointer(mean), _pointer(rstd), ctypes.c_int64(0), ctypes.c_int64(batch),
            ctypes.c_int64(height * width), channels, groups, ctypes.c_float(eps), int(silu))
        ctx.save_for_backward(x, weight, bias, mean, rstd)
        ctx.groups, ctx.silu = groups, silu
        return y

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, bias, mean, rstd = ctx.saved_tensors
        batch, channels, height, width = x.shape
        gradient = gradient.to(x.dtype).contiguous(memory_format=torch.channels_last)
        dx = torch.empty_like(x, memory_format=torch.channels_last)
        dweight, dbias = torch.zeros((2, channels), dtype=torch.float64).unbind()
        getattr(library(), f"backward_{_suffix(x)}")(
            _pointer(gradient), _pointer(x), _pointer(weight), _pointer(bias), _pointer(mean), _pointer(rstd), _pointer(dx), _pointer(dweight),
            _pointer(dbias), ctypes.c_int64(0), ctypes.c_int64(batch), ctypes.c_int64(height * width), channels, ctx.groups, int(ctx.silu))
        return dx, dweight.float(), dbias.float(), None, None, None


def norm_silu(x: Tensor, norm: nn.GroupNorm, silu: bool) -> Tensor:
    """GroupNorm, then SiLU if asked: fused where that can be, else torch's."""
    if x.ndim == 4 and x.device.type == "cpu" and x.dtype in (torch.float32, torch.bfloat16) and x.shape[1] % BLOCK == 0 and norm.weight.dtype == torch.float32:
        return _Norm.apply(x.contiguous(memory_format=torch.channels_last), norm.weight, norm.bias, norm.num_groups, norm.eps, silu)
    x = F.group_norm(x, norm.num_groups, norm.weight, norm.bias, norm.eps)
    return F.silu(x) if silu else x


class QuickNorm(nn.GroupNorm):
    """A GroupNorm (without SiLU) that takes the fused kernel."""

    silu = False

    def forward(self, x: Tensor) -> Tensor:
        return norm_silu(x, self, self.silu)


class QuickNormSilu(QuickNorm):
    silu = True


class QuickBlock(ResnetBlock2D):
    """diffusers' block for our case (no up- or downsampling inside, default time embedding), norms fused with SiLU."""

    def forward(self, input_tensor: Tensor, temb: Tensor | None = None, *_: object, **__: object) -> Tensor:
        x = self.conv1(norm_silu(input_tensor, self.norm1, True))
        if temb is not None:
            x = x + self.time_emb_proj(F.silu(temb))[:, :, None, None]
        x = self.conv2(norm_silu(x, self.norm2, True))
        if self.conv_shortcut is not None:
            input_tensor = self.conv_shortcut(input_tensor)
        return input_tensor + x


def quicken(module: nn.Module) -> nn.Module:
    """In place: the same weights under the same names, computed faster on a processor. Elsewhere nothing changes."""
    if next(module.parameters()).device.type != "cpu" or library() is None:
        return module
    module.to(memory_format=torch.channels_last)
    for part in list(module.modules()):
        if type(part) is ResnetBlock2D and part.upsample is None and part.downsample is None and part.output_scale_factor == 1 and part.time_embedding_norm in ("default", "group"):
            part.__class__ = QuickBlock
        if isinstance(getattr(part, "conv_norm_out", None), nn.GroupNorm) and isinstance(getattr(part, "conv_act", None), nn.SiLU):
            part.conv_norm_out.__class__ = QuickNormSilu
            part.conv_act = nn.Identity()
        if type(part) is nn.GroupNorm:
            part.__class__ = QuickNorm
    return module
