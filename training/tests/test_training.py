"""Parts of the trainers: Muon orthogonalises, folding is exact, the localisation loss points, resume restores."""
from __future__ import annotations

import numpy as np
import torch
from diffusers import StableDiffusionPipeline
from torch import nn

from storybook import checkpoint, export
from storybook.attention import localisation_loss
from storybook.common import EMA, load, rate, save
from storybook.export import fold
from storybook.muon import Muon, orthogonalise, split
from storybook.networks import make_scheduler, make_vae
from storybook.samples import make_painter
from storybook.scenes.chunks import HELD_OUT, chunk_path, make_chunk
from storybook.tokenizer import Tokenizer, write


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


def test_export_loads_in_diffusers_and_a_packed_checkpoint_comes_back(work, tmp_path):
    """Export, load with StableDiffusionPipeline, pack, unpack: the same weights up to f16."""
    torch.manual_seed(2)
    write(work / "tokenizer", 700)
    make_chunk(work, HELD_OUT, 4, 256, 256)
    assert np.load(chunk_path(work, HELD_OUT, 256, 256) / "images.npy").shape == (4, 256, 256, 3)
    painter, vae = make_painter(Tokenizer(work / "tokenizer")), make_vae()
    state = painter.state_dict()
    save(work / "unet.pt", {"model": state, "ema": state, "optimizers": None, "iteration": 7, "spent": 60.0, "batch": 2})
    save(work / "vae.pt", {"model": vae.state_dict(), "ema": vae.state_dict(), "optimizers": None, "iteration": 5, "spent": 30.0, "decoder_only": False})
    torch.save({"mean": torch.full((16,), 0.1), "std": torch.full((16,), 2.0)}, work / "latent_stats.pt")
    export.write(tmp_path / "model", work, "test")
    assert sum(p.stat().st_size for p in (tmp_path / "model").rglob("*") if p.is_file()) <= 40_000_000
    pipe = StableDiffusionPipeline.from_pretrained(tmp_path / "model", safety_checker=None)
    picture = pipe("a red car", num_inference_steps=1, guidance_scale=4.0, height=64, width=96, output_type="np").images[0]
    assert picture.shape == (64, 96, 3) and np.isfinite(picture).all()
    ids = torch.from_numpy(Tokenizer(work / "tokenizer").encode([("a", -1), ("cat", -1)])[0]).long()[None]
    with torch.no_grad():
        assert torch.allclose(pipe.text_encoder(ids)[0], painter.text(ids)[0], atol=0.02)
    for with_painter in (False, True):
        checkpoint.pack(work, tmp_path / "packed.safetensors", with_painter)
        assert (tmp_path / "packed.safetensors").stat().st_size < (37e6 if with_painter else 6e6) + 4e6
        fresh = tmp_path / f"fresh-{with_painter}"
        checkpoint.unpack(fresh, tmp_path / "packed.safetensors", tmp_path / "model")
        back = load(fresh / "unet.pt", torch.device("cpu"))
        assert back["iteration"] == 7 and back["model"].keys() == state.keys()
        for key, value in state.items():
            assert torch.allclose(back["model"][key].float(), value.float(), atol=2e-3), key
        vae_back = load(fresh / "vae.pt", torch.device("cpu"))
        assert vae_back["iteration"] == 5 and vae_back["model"].keys() == vae.state_dict().keys()
        assert torch.load(fresh / "latent_stats.pt", weights_only=True)["std"].eq(2).all()


def test_a_vae_alone_can_be_packed(tmp_path):
    vae = make_vae().state_dict()
    save(tmp_path / "vae.pt", {"model": vae, "ema": vae, "optimizers": None, "iteration": 5, "spent": 30.0, "decoder_only": False})
    checkpoint.pack(tmp_path, tmp_path / "packed.safetensors")
    checkpoint.unpack(tmp_path / "fresh", tmp_path / "packed.safetensors", tmp_path / "no model")
    assert (tmp_path / "fresh" / "vae.pt").exists() and not (tmp_path / "fresh" / "unet.pt").exists()
