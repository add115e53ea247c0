"""Writes a trained ControlNet as diffusers lays it out (f16): config.json and diffusion_pytorch_model.safetensors.

    python -m storybook.control.export --kind edges --out FOLDER
"""
from __future__ import annotations

import argparse
from pathlib import Path

import torch

from ..common import load, work_folder
from .hints import KINDS
from .train import make_net


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path)
    parser.add_argument("--kind", choices=KINDS, required=True)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    state = load(work_folder(args.work) / f"control-{args.kind}.pt", torch.device("cpu"))
    if state is None:
        raise SystemExit(f"control-{args.kind}.pt is missing: run storybook.control.train first")
    net = make_net()
    net.load_state_dict(state["ema"])
    net.half().save_pretrained(args.out)
    size = sum(f.stat().st_size for f in args.out.iterdir())
    print(f"{args.kind}: iteration {state['iteration']}, {size / 1e6:.1f} MB in {args.out}")


if __name__ == "__main__":
    main()
