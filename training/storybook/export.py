"""Writes the model in diffusers layout: f16 safetensors, latent statistics folded into the VAE's 1x1 convolutions."""
from __future__ import annotations

import argparse
import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL
from safetensors.torch import save_file

from .common import load, pick_device, work_folder
from .latents import encode, load_vae
from .networks import CHANNELS, make_scheduler
from .samples import make_painter
from .scenes.chunks import HELD_OUT, chunk_path
from .scenes.objects import COLOUR_NAMES, COLOUR_SYNONYMS, THINGS
from .scenes.places import FARS, GROUNDS, SKIES
from .tokenizer import Tokenizer

INDEX = {
    "_class_name": "StableDiffusionPipeline", "_diffusers_version": "0.42.1", "feature_extractor": [None, None],
    "requires_safety_checker": False, "safety_checker": [None, None], "image_encoder": [None, None],
    "scheduler": ["diffusers", "DDIMScheduler"], "text_encoder": ["transformers", "CLIPTextModel"],
    "tokenizer": ["transformers", "CLIPTokenizer"], "unet": ["diffusers", "UNet2DConditionModel"], "vae": ["diffusers", "AutoencoderKL"],
}


@torch.no_grad()
def fold(vae: AutoencoderKL, mean: torch.Tensor, std: torch.Tensor) -> None:
    """In place: latents become unit-normal, with scaling_factor 1 and shift 0.

    quant_conv [32, 32, 1, 1] gives 16 means and 16 log-variances: means are centred and divided, log-variances
    shifted by -2 ln std. post_quant_conv [16, 16, 1, 1] undoes it: W (std z + mean) + b.
    """
    q, p = vae.quant_conv, vae.post_quant_conv
    q.weight[:CHANNELS] /= std[:, None, None, None]
    q.bias[:CHANNELS] = (q.bias[:CHANNELS] - mean) / std
    q.bias[CHANNELS:] -= 2 * std.log()
    p.bias += (p.weight[:, :, 0, 0] * mean).sum(1)
    p.weight *= std[None, :, None, None]


def preview(z: torch.Tensor, images: np.ndarray) -> dict:
    """Least squares from latents [N, 16, h, w] to the mean RGB (0..1) of each cell."""
    n, h, w, _ = images.shape
    target = images.reshape(n, h // 16, 16, w // 16, 16, 3).mean((2, 4)).reshape(-1, 3) / 255
    inputs = z.permute(0, 2, 3, 1).reshape(-1, CHANNELS).double().numpy()
    inputs = np.concatenate([inputs, np.ones((len(inputs), 1))], 1)
    fit, *_ = np.linalg.lstsq(inputs, target, rcond=None)
    error = float(np.sqrt(np.mean((inputs @ fit - target) ** 2)))
    return {"factors": np.round(fit[:CHANNELS], 5).tolist(), "bias": np.round(fit[CHANNELS], 5).tolist(), "rmse": round(error, 4)}


def vocabulary() -> dict:
    """Words by category, for the interface."""
    groups: dict[str, list[str]] = {}
    for thing in THINGS:
        groups.setdefault(thing.category, []).append(thing.name)
    return {
        "objects": groups, "synonyms": {t.name: [one for one, _ in t.names[1:]] for t in THINGS if len(t.names) > 1},
        "colours": COLOUR_NAMES, "colour_synonyms": COLOUR_SYNONYMS, "coloured_objects": [t.name for t in THINGS if t.colourable],
        "skies": [s.phrases[0] for s in SKIES], "places": [g.phrases[0] for g in GROUNDS],
        "backgrounds": [p[0] for p in FARS.values() if p], "moments": sorted({m for p in [*SKIES, *GROUNDS] for m in p.moments}),
        "relations": ["left of", "right of", "on", "under", "above", "behind", "in front of", "next to"],
        "counts": ["two", "three", "four"], "sizes": ["big", "small", "large", "tiny"],
        "styles": ["3d render", "flat illustration", "pencil sketch", "watercolor painting"],
    }


def half(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {k: (v.half() if v.is_floating_point() else v).contiguous().cpu() for k, v in state.items()}


def text_state(text: torch.nn.Module) -> dict[str, torch.Tensor]:
    """CLIPTextModel's tensors under their published names (text_model.…), without the position index buffer."""
    state = {k: v for k, v in text.state_dict().items() if not k.endswith("position_ids")}
    return {k if k.startswith("text_model.") else f"text_model.{k}": v for k, v in state.items()}


def write(folder: Path, work: Path, status: str) -> None:
    device = pick_device()
    tokenizer = Tokenizer(work / "tokenizer")
    vae, vae_iterations = load_vae(work, device)
    painter = make_painter(tokenizer).to(device).eval()
    state = load(work / "unet.pt", device)
    if state:
        painter.load_state_dict(state["ema"])
    stats_path = work / "latent_stats.pt"
    if stats_path.exists():
        stats = torch.load(stats_path, weights_only=True)
        fold(vae, stats["mean"].to(device), stats["std"].to(device))
    for name in ("scheduler", "text_encoder", "tokenizer", "unet", "vae"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    (folder / "model_index.json").write_text(json.dumps(INDEX, indent=2) + "\n")
    make_scheduler().save_config(folder / "scheduler")
    for file in (work / "tokenizer").iterdir():
        shutil.copy(file, folder / "tokenizer" / file.name)
    painter.text.config.architectures = ["CLIPTextModel"]
    painter.text.config.dtype = torch.float32  # else transformers 5 runs it in the stored f16 beside diffusers' f32
    painter.text.config.save_pretrained(folder / "text_encoder")
    painter.unet.save_config(folder / "unet")
    vae.save_config(folder / "vae")
    meta = {"format": "pt"}
    save_file(half(text_state(painter.text)), folder / "text_encoder" / "model.safetensors", meta)
    save_file(half(painter.unet.state_dict()), folder / "unet" / "diffusion_pytorch_model.safetensors", meta)
    save_file(half(vae.state_dict()), folder / "vae" / "diffusion_pytorch_model.safetensors", meta)
    held = np.load(chunk_path(work, HELD_OUT, 256, 256) / "images.npy", mmap_mode="r")[:96]
    (folder / "preview.json").write_text(json.dumps(preview(encode(vae, held, device), held)) + "\n")
    (folder / "vocabulary.json").write_text(json.dumps(vocabulary(), indent=1) + "\n")
    facts = {"name": "storybook", "status": status, "trained_iterations": state["iteration"] if state else 0, "vae_iterations": vae_iterations,
             "batch": state["batch"] if state else 0, "minutes": round(state["spent"] / 60, 1) if state else 0,
             "defaults": {"steps": 12, "guidance": 4.0, "sampler": "ddim", "width": 256, "height": 256}}
    (folder / "storybook.json").write_text(json.dumps(facts, indent=2) + "\n")
    sums(folder)


def sums(folder: Path) -> None:
    """SHA256SUMS over every other file of the folder."""
    files = sorted(p for p in folder.rglob("*") if p.is_file() and p.name != "SHA256SUMS")
    for path in files:  # safetensors writes files that only their owner can read
        path.chmod(0o644)
    lines = [f"{hashlib.sha256(p.read_bytes()).hexdigest()}  {p.relative_to(folder).as_posix()}" for p in files]
    (folder / "SHA256SUMS").write_text("\n".join(lines) + "\n")
    print(f"{sum(p.stat().st_size for p in files) / 2**20:.1f} MiB in {len(files)} files")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path)
    parser.add_argument("--out", type=Path, default=Path(__file__).resolve().parents[2] / "assets" / "models" / "storybook")
    parser.add_argument("--status", default="in training")
    parser.add_argument("--only-sums", action="store_true")
    args = parser.parse_args()
    if args.only_sums:
        sums(args.out)
    else:
        write(args.out, work_folder(args.work), args.status)


if __name__ == "__main__":
    main()
