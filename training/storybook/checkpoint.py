"""Packs what a later session needs into training/checkpoints (f16, no optimizer state), and unpacks it.

pack:   work/unet.pt, vae.pt, latent_stats.pt -> checkpoints/storybook.safetensors (raw UNet and text weights, averaged
        VAE before folding, statistics). The averaged UNet and text weights are the exported model itself.
unpack: the reverse, into a fresh work folder; optimizers start anew, iteration and minutes go on.
"""
from __future__ import annotations

import argparse
import json
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from .common import load, save, work_folder

ROOT = Path(__file__).resolve().parents[1]
FILE = ROOT / "checkpoints" / "storybook.safetensors"
MODEL = ROOT.parent / "assets" / "models" / "storybook"


def pack(work: Path, file: Path) -> None:
    device = torch.device("cpu")
    unet, vae = load(work / "unet.pt", device), load(work / "vae.pt", device)
    if unet is None or vae is None:
        raise SystemExit("nothing to pack: unet.pt or vae.pt is missing")
    stats = torch.load(work / "latent_stats.pt", weights_only=True)
    tensors = {f"painter.{k}": v.half() if v.is_floating_point() else v for k, v in unet["model"].items()}
    tensors |= {f"vae.{k}": v.half() for k, v in vae["ema"].items()}
    tensors |= {f"stats.{k}": v.float() for k, v in stats.items()}
    facts = {"iteration": unet["iteration"], "spent": unet["spent"], "batch": unet["batch"], "vae_iteration": vae["iteration"], "vae_spent": vae["spent"]}
    file.parent.mkdir(parents=True, exist_ok=True)
    save_file({k: v.contiguous() for k, v in tensors.items()}, file, {"facts": json.dumps(facts)})
    file.chmod(0o644)
    print(f"{file.stat().st_size / 2**20:.1f} MiB, {facts}")


def unpack(work: Path, file: Path, model: Path) -> None:
    if (work / "unet.pt").exists() or (work / "vae.pt").exists():
        raise SystemExit("the work folder already has checkpoints: they are newer, or remove them first")
    with safe_open(file, "pt") as handle:
        facts = json.loads(handle.metadata()["facts"])
    tensors = load_file(file)

    def part(name: str) -> dict[str, torch.Tensor]:
        chosen = {k[len(name) + 1:]: v for k, v in tensors.items() if k.startswith(name + ".")}
        return {k: v.float() if v.is_floating_point() else v for k, v in chosen.items()}

    raw = part("painter")
    published = {f"unet.{k}": v for k, v in load_file(model / "unet" / "diffusion_pytorch_model.safetensors").items()}
    published |= {f"text.{k}": v for k, v in load_file(model / "text_encoder" / "model.safetensors").items()}
    published |= {f"text.{k.removeprefix('text.text_model.')}": v for k, v in published.items() if k.startswith("text.text_model.")}
    ema = {k: published[k].float() if k in published else v for k, v in raw.items()}
    save(work / "unet.pt", {"model": raw, "ema": ema, "optimizers": None, "iteration": facts["iteration"], "spent": facts["spent"], "batch": facts["batch"]})
    vae = part("vae")
    save(work / "vae.pt", {"model": vae, "ema": vae, "optimizers": None, "iteration": facts["vae_iteration"], "spent": facts["vae_spent"], "decoder_only": False})
    torch.save(part("stats"), work / "latent_stats.pt")
    print(f"unpacked iteration {facts['iteration']}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("pack", "unpack"))
    parser.add_argument("--work", type=Path)
    parser.add_argument("--file", type=Path, default=FILE)
    parser.add_argument("--model", type=Path, default=MODEL)
    args = parser.parse_args()
    if args.what == "pack":
        pack(work_folder(args.work), args.file)
    else:
        unpack(work_folder(args.work), args.file, args.model)


if __name__ == "__main__":
    main()
