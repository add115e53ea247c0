"""The fused GroupNorm + SiLU equals torch's, and a quickened network computes what it did, under the same names."""
from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from storybook import common, fused
from storybook.networks import make_unet, make_vae

needs_compiler = pytest.mark.skipif(fused.library() is None, reason="no C++ compiler for this processor")


@needs_compiler
@pytest.mark.parametrize("silu", [True, False])
@pytest.mark.parametrize("channels, groups, size", [(16, 4, 24), (240, 16, 4), (368, 16, 5)])
def test_fused_norm_and_its_gradients_equal_torch(channels, groups, size, silu):
    torch.manual_seed(0)
    norm = nn.GroupNorm(groups, channels)
    nn.init.normal_(norm.weight)
    nn.init.normal_(norm.bias)
    x = (torch.randn(2, channels, size, size) * 3 + 1).requires_grad_()
    y = norm(x)
    y = F.silu(y) if silu else y
    g = torch.randn_like(y)
    expected = [y.detach(), *torch.autograd.grad(y, (x, norm.weight, norm.bias), g)]
    for kind, tolerance in ((torch.float32, 3e-6), (torch.bfloat16, 2e-2)):
        z = x.detach().to(kind).requires_grad_()
        out = fused.norm_silu(z, norm, silu)
        got = [out.detach(), *torch.autograd.grad(out, (z, norm.weight, norm.bias), g.to(kind))]
        for a, b in zip(got, expected, strict=True):
            assert (a.float() - b).abs().max() <= tolerance * b.abs().max()


@needs_compiler
def test_quickened_networks_keep_their_names_and_results():
    torch.manual_seed(0)
    with torch.no_grad():
        for net, inputs in ((make_vae(), (torch.rand(1, 3, 64, 64) * 2 - 1,)), (make_unet(), (torch.randn(1, 16, 8, 8), torch.tensor([7]), torch.randn(1, 77, 128)))):
            before, names = net(*inputs).sample, list(net.state_dict())
            fused.quicken(net)
            assert list(net.state_dict()) == names
            assert torch.allclose(net(*inputs).sample, before, atol=1e-4)


@pytest.mark.parametrize("has", [True, False])
def test_precision_follows_the_processor(monkeypatch, has):
    monkeypatch.setattr(common, "bf16_pays", lambda: has)
    with common.autocast(torch.device("cpu")):
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == (torch.bfloat16 if has else torch.float32)
