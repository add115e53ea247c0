"""Muon (Jordan et al. 2024): momentum whose matrix updates are orthogonalised, batched over equal shapes.

Conv kernels [O, I, kh, kw] are seen as matrices [O, I*kh*kw]. The rest (norms, biases, embeddings, first and last
layers) is AdamW's. On small networks Muon reached the same VAE loss in a third to a fifth of AdamW's iterations.
"""
from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

import torch
from torch import Tensor, nn

from .fused import bf16_pays

# Coefficients of the quintic iteration; the first steps push small singular values up, the last ones polish
# (Polar Express, Amsel et al. 2025). Four steps suffice for updates.
STEPS = (
    (8.28721201814563, -23.595886519098837, 17.300387312530933),
    (4.107059111542203, -2.9478499167379106, 0.5448431082926601),
    (3.9486908534822946, -2.908902115962949, 0.5518191394370137),
    (3.3184196573706015, -2.488488024314874, 0.51004894012372),
    (2.300652019954817, -1.6689039845747493, 0.4188073119525673),
)


def orthogonalise(matrices: Tensor, steps: int = 5) -> Tensor:
    """[B, m, n] -> the nearest (semi-)orthogonal matrices, about: Newton-Schulz, no SVD.

    In bf16 where the machine multiplies it (half the time on a processor with avx512_bf16). In f32, for long matrices
    the whole iteration runs on the m x m Gram matrix and touches the m x n one twice only: a 256 x 2304 kernel then
    costs 40 % of the plain iteration; bf16 cannot carry the squared spectrum.
    """
    short = matrices.is_cuda or (matrices.device.type == "cpu" and bf16_pays())
    x = matrices
    tall = x.shape[-2] > x.shape[-1]
    if tall:
        x = x.transpose(-1, -2)
    x = x / (x.norm(dim=(-2, -1), keepdim=True) * 1.02 + 1e-7)
    if short:
        x = x.bfloat16().contiguous()
    if x.shape[-1] >= 2 * x.shape[-2] and not short:
        gram = x @ x.transpose(-1, -2)
        total = None
        for i, (a, b, c) in enumerate(STEPS[:steps]):
            step = b * gram + c * (gram @ gram)
            step.diagonal(dim1=-2, dim2=-1).add_(a)
            total = step if total is None else step @ total
            if i + 1 < steps:
                gram = step @ (gram @ step)
        x = total @ x
    else:
        safe = 1.02 if short else 1.0  # rounding must not push a singular value past the polynomials' range
        for a, b, c in ((a / safe, b / safe**3, c / safe**5) for a, b, c in STEPS[:steps]):
            gram = x @ x.transpose(-1, -2)
            x = a * x + (b * gram + c * (gram @ gram)) @ x
    return (x.transpose(-1, -2) if tall else x).to(matrices.dtype)


class Muon(torch.optim.Optimizer):
    """Nesterov momentum, then orthogonalised; the step is scaled so that tall matrices move like square ones."""

    def __init__(self, params: Iterable[nn.Parameter], lr: float = 0.01, momentum: float = 0.95, weight_decay: float = 0.01, steps: int = 5):
        super().__init__(list(params), {"lr": lr, "momentum": momentum, "weight_decay": weight_decay, "steps": steps})

    @torch.no_grad()
    def step(self, closure=None):  # noqa: ANN001, ANN201 - the base class's signature
        for group in self.param_groups:
            shapes: dict[tuple[int, int], list[nn.Parameter]] = defaultdict(list)
            for p in group["params"]:
                if p.grad is not None:
                    shapes[(p.shape[0], p.numel() // p.shape[0])].append(p)
            for shape, params in shapes.items():
                updates = []
                for p in params:
                    buffer = self.state[p].setdefault("momentum", torch.zeros_like(p))
                    buffer.lerp_(p.grad, 1 - group["momentum"])
                    updates.append(p.grad.lerp(buffer, group["momentum"]).reshape(shape))
                stacked = orthogonalise(torch.stack(updates), group["steps"])
                scale = max(1.0, shape[0] / shape[1]) ** 0.5
                for p, update in zip(params, stacked, strict=True):
                    p.mul_(1 - group["lr"] * group["weight_decay"])
                    p.add_(update.reshape(p.shape), alpha=-group["lr"] * scale)


def split(module: nn.Module, plain: tuple[str, ...]) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    """A module's parameters: (matrices for Muon, the rest for AdamW); names containing one of `plain` are AdamW's."""
    matrices, rest = [], []
    for name, p in module.named_parameters():
        (matrices if p.ndim >= 2 and not any(part in name for part in plain) else rest).append(p)
    return matrices, rest
