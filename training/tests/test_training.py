"""Parts of the trainers: Muon orthogonalises, folding is exact, the localisation loss points, resume restores."""
from __future__ import annotations

import torch
from torch import nn

from storybook.attention import localisation_loss
from storybook.common import EMA, load, rate, save
from storybook.export import fold
from storybook.muon import Muon, orthogonalise, split
from storybook.networks import make_scheduler, make_vae


def test_newton_schulz_is_near_orthogonal():
    torch.manual_seed(0)
    for shape in ((3, 32, 32), (2, 16, 200), (2, 200, 16)):
        values = torch.linalg.svdvals(orthogonalise(torch.randn(shape)))
        assert values.min() > 0.6 and values.max() < 1.3, shape


def test_folded_latents_are_unit_normal_and_decode_alike():
    torch.manual_seed(0)
    vae = make_vae().eval()
    x = torch.rand(2, 3, 64, 64) * 2 - 1
    with torch.no_grad():
        z = vae.encode(x).latent_dist.mode()
        y = vae.decode(z).sample
        mean, std = z.mean((0, 2, 3)), z.std((0, 2, 3))
        fold(vae, mean, std)
        folded = vae.encode(x).latent_dist.mode()
        assert torch.allclose(folded.mean((0, 2, 3)), torch.zeros(16), atol=1e-4)
        assert torch.allclose(folded.std((0, 2, 3)), torch.ones(16), atol=1e-3)
        assert torch.allclose(vae.decode(folded).sample, y, atol=1e-4)


def test_localisation_loss_is_zero_inside_and_one_outside():
    regions = torch.zeros(1, 2, 16, 16, dtype=torch.uint8)
    regions[0, 0, :, :8] = 255
    regions[0, 1, :, 8:] = 255
    inside = torch.zeros(1, 16, 16, 3)
    inside[0, :, :8, 1] = 1
    tokens, keep = torch.tensor([[-1, 0, -1]]), torch.tensor([True])
    loss, share = localisation_loss([inside.reshape(1, 256, 3), inside[:, ::2, ::2].reshape(1, 64, 3)], regions, tokens, keep)
    assert loss < 1e-4 and share > 0.999
    loss, _ = localisation_loss([inside.reshape(1, 256, 3)], regions, torch.tensor([[-1, 1, -1]]), keep)
    assert loss > 0.99
    assert localisation_loss([inside.reshape(1, 256, 3)], regions, tokens, ~keep)[0] == 0


def test_schedule_ends_at_zero_signal():
    assert make_scheduler().alphas_cumprod[-1] < 1e-6
    assert rate(0.5) > rate(0.9) > 0 and rate(0.3) == 1


def test_resume_goes_on_as_if_never_stopped(tmp_path):
    """Ten steps at once equal five, a checkpoint, and five more."""
    def fresh():
        torch.manual_seed(1)
        net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.GroupNorm(2, 8), nn.Conv2d(8, 3, 3))
        matrices, rest = split(net, ())
        return net, [Muon(matrices), torch.optim.AdamW(rest, lr=1e-3)], EMA(net, 0.9)

    def steps(net, optimizers, ema, first, last):
        for i in range(first, last):
            x = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(i))
            net(x).square().mean().backward()
            for optimizer in optimizers:
                optimizer.step()
                optimizer.zero_grad()
            ema.update(net, i)

    net, optimizers, ema = fresh()
    steps(net, optimizers, ema, 0, 10)
    half, half_optimizers, half_ema = fresh()
    steps(half, half_optimizers, half_ema, 0, 5)
    save(tmp_path / "x.pt", {"model": half.state_dict(), "ema": half_ema.shadow, "optimizers": [o.state_dict() for o in half_optimizers]})
    again, again_optimizers, again_ema = fresh()
    state = load(tmp_path / "x.pt", torch.device("cpu"))
    again.load_state_dict(state["model"])
    again_ema.shadow = state["ema"]
    for optimizer, saved in zip(again_optimizers, state["optimizers"], strict=True):
        optimizer.load_state_dict(saved)
    steps(again, again_optimizers, again_ema, 5, 10)
    for a, b in zip(net.state_dict().values(), again.state_dict().values(), strict=True):
        assert torch.allclose(a, b, atol=1e-6)
    for key in ema.shadow:
        assert torch.allclose(ema.shadow[key], again_ema.shadow[key], atol=1e-6)
