"""Pictures in few bytes."""

from __future__ import annotations

import io

from PIL import Image

COLOURS = 256  # a third of the bytes, and no difference to be seen


def small(png: bytes) -> bytes:
    """Return a picture with as many colours as a palette holds, as PNG."""
    buffer = io.BytesIO()
    picture = Image.open(io.BytesIO(png)).convert("RGB")
    # Pillow's default chooses by area, and takes the few pixels of a colour bar's bright end for grey
    picture = picture.quantize(COLOURS, method=Image.Quantize.MAXCOVERAGE, kmeans=1)
    picture.save(buffer, format="PNG", optimize=True)
    return buffer.getvalue()
