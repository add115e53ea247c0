"""Held-out scenes for the pointing game (`test/bench/instrument.ts pointing`): latents, captions, regions of words.

    python -m storybook.export_held_out --work W --file FILE.safetensors

Latents are those that the exported model has (unit-normal: the statistics are folded into its quant convs).
"""
from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from .common import work_folder
from .scenes.chunks import HELD_OUT, chunk_path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path)
    parser.add_argument("--file", type=Path, required=True)
    args = parser.parse_args()
    path = chunk_path(work_folder(args.work), HELD_OUT, 256, 256)
    words = json.loads((path / "words.json").read_text())
    # Each word's region as a row of `regions`, -1 for words of no place; the safetensors header carries the captions.
    save_file(
        {
            "latents": np.load(path / "latents.npy").astype(np.float32),
            "regions": np.load(path / "regions.npy").astype(np.float32) / 255,
        },
        args.file,
        {"captions": json.dumps(words)},
    )
    print(f"{len(words)} scenes in {args.file}")


if __name__ == "__main__":
    main()
