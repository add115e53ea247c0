"""Makes resample.json: SHA-256 of what Pillow's LANCZOS and convert("L") give for a formula's picture.

Run: pip install pillow==13.0.0 numpy && python test/image/make_resample.py
"""

import hashlib
import json
from pathlib import Path

import numpy as np
from PIL import Image


def picture(width, height):
    """The picture of resample.test.ts: a linear congruential generator, upper byte, row by row, RGB."""
    state, values = 12345, []
    for _ in range(width * height * 3):
        state = (state * 1103515245 + 12345) % 2**31
        values.append(state >> 23)
    return Image.fromarray(np.array(values, np.uint8).reshape(height, width, 3))


def sha(image):
    return hashlib.sha256(np.asarray(image).tobytes()).hexdigest()


cases = []
for source, target in [
    ((37, 23), (64, 48)),
    ((37, 23), (16, 8)),
    ((37, 23), (37, 10)),
    ((37, 23), (100, 23)),
    ((5, 7), (1, 1)),
    ((1, 1), (9, 4)),
    ((200, 3), (7, 31)),
    # The height shrinks much more than the width.
    ((50, 83), (56, 56)),
    ((30, 97), (27, 88)),
]:
    resized = picture(*source).resize(target, Image.LANCZOS)
    cases.append({"source": source, "target": target, "rgb": sha(resized), "grey": sha(resized.convert("L"))})
Path(__file__).with_name("resample.json").write_text(json.dumps(cases, indent=2) + "\n")
