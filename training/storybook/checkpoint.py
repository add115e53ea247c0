"""Packs what a later session needs and the exported model does not hold into training/checkpoints; unpacks it.

pack:   work/vae.pt, latent_stats.pt, the facts of unet.pt -> checkpoints/storybook.safetensors: the averaged VAE before
        folding, statistics, iterations and minutes (6 MB). The averaged UNet and text encoder are the exported model
        itself, so export first; --with-painter keeps them here too (f16, 36 MB) when they are not exported.
unpack: the reverse, into a fresh work folder. The painter goes on from its averaged weights, optimizers start anew,
        iterations and minutes go on. Without a painter that fits (nothing packed, and the exported one has other
        latents or sizes), only the VAE is unpacked and the UNet begins from scratch.
"""
from __future__ import annotations

import argparse
import json
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from .common import load, save, work_folder
from .samples import make_painter
from .tokenizer import Tokenizer

ROOT = Path(__file__).resolve().parents[1]
FILE = ROOT / "checkpoints" / "storybook.safetensors"
MODEL = ROOT.parent / "assets" / "models" / "storybook"


def pack(work: Path, file: Path, with_painter: bool = False) -> None:
    device = torch.device("cpu")
    unet, vae = load(work / "unet.pt", device), load(work / "vae.pt", device)
    if vae is None:
        raise SystemExit("nothing to pack: vae.pt is missing")
    tensors = {f"vae.{k}": v.half() for k, v in vae["ema"].items()}
    if (work / "latent_stats.pt").exists():
        tensors |= {f"stats.{k}": v.float() for k, v in torch.load(work / "latent_stats.pt", weights_only=True).items()}
    facts = {"vae_iteration": vae["iteration"], "vae_spent": vae["spent"], "painter": "none"}
    if unet:
        facts |= {"iteration": unet["iteration"], "spent": unet["spent"], "batch": unet["batch"], "painter": "here" if with_painter else "exported"}
        if with_painter:
            tensors |= {f"painter.{k}": v.half() if v.is_floating_point() else v for k, v in unet["ema"].items()}
    file.parent.mkdir(parents=True, exist_ok=True)
    save_file({k: v.contiguous() for k, v in tensors.items()}, file, {"facts": json.dumps(facts)})
    file.chmod(0o644)
    print(f"{file.stat().st_size / 2**20:.1f} MiB, {facts}")


def published(model: Path) -> dict[str, torch.Tensor]:
    """The exported UNet and text encoder under the names of `Painter` (f32)."""
    tensors = {f"unet.{k}": v.float() for k, v in load_file(model / "unet" / "diffusion_pytorch_model.safetensors").items()}
    names = make_painter(Tokenizer(model / "tokenizer")).state_dict()
    for key, value in load_file(model / "text_encoder" / "model.safetensors").items():
        short = f"text.{key.removeprefix('text_model.')}"
        tensors[short if short in names else f"text.{key}"] = value.float()
    return {k: tensors.get(k, v) for k, v in names.items()}  # buffers (position ids) are not published


def unpack(work: Path, file: Path, model: Path) -> None:
    if (work / "unet.pt").exists() or (work / "vae.pt").exists():
        raise SystemExit("the work folder already has checkpoints: they are newer, or remove them first")
    with safe_open(file, "pt") as handle:
        facts = json.loads(handle.metadata()["facts"])
    tensors = load_file(file)

    def part(name: str) -> dict[str, torch.Tensor]:
        chosen = {k[len(name) + 1:]: v for k, v in tensors.items() if k.startswith(name + ".")}
        return {k: v.float() if v.is_floating_point() else v for k, v in chosen.items()}

    work.mkdir(parents=True, exist_ok=True)
    vae, stats = part("vae"), part("stats")
    save(work / "vae.pt", {"model": vae, "ema": vae, "optimizers": None, "iteration": facts["vae_iteration"], "spent": facts["vae_spent"], "decoder_only": False})
    if stats:
        torch.save(stats, work / "latent_stats.pt")
    print(f"VAE of iteration {facts['vae_iteration']}")
    if facts["painter"] == "none":
        print("no UNet: train it from scratch")
        return
    painter = part("painter") if facts["painter"] == "here" else published(model)
    save(work / "unet.pt", {"model": painter, "ema": painter, "optimizers": None, "iteration": facts["iteration"], "spent": facts["spent"], "batch": facts["batch"]})
    print(f"UNet of iteration {facts['iteration']}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("pack", "unpack"))
    parser.add_argument("--work", type=Path)
    parser.add_argument("--file", type=Path, default=FILE)
    parser.add_argument("--model", type=Path, default=MODEL)
    parser.add_argument("--with-painter", action="store_true", help="pack the UNet and text encoder too: they are not exported")
    args = parser.parse_args()
    if args.what == "pack":
        pack(work_folder(args.work), args.file, args.with_painter)
    else:
        unpack(work_folder(args.work), args.file, args.model)


if __name__ == "__main__":
    main()
