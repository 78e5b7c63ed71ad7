"""Split zips such as `zip -s` writes, made from whole ones."""

from __future__ import annotations

import io
import struct
import zipfile

MARK = b"PK\x07\x08"  # what the first part begins with


def split_zip(packed: bytes, size: int, zip64: bool = False) -> list[bytes]:
    """Cut a zip into parts of `size` bytes, with places by part in its directory; `zip64` has them all in zip64."""
    with zipfile.ZipFile(io.BytesIO(packed)) as archive:
        infos, body = archive.infolist(), MARK + packed[: archive.start_dir]
        directory = packed[archive.start_dir :]
    written = b""
    for info in infos:
        name_length, extra_length, comment_length = struct.unpack("<3H", directory[28:34])
        rest = 46 + name_length
        part, offset = divmod(len(MARK) + info.header_offset, size)
        entry, extra = directory[:rest], directory[rest : rest + extra_length]
        if zip64:
            extra += struct.pack("<2HQL", 1, 12, offset, part)
            part, offset = 0xFFFF, 0xFFFFFFFF
        entry = entry[:30] + struct.pack("<2H", len(extra), 0) + struct.pack("<H", part) + entry[36:42]
        written += entry + struct.pack("<L", offset) + info.filename.encode() + extra
        directory = directory[rest + extra_length + comment_length :]
    parts = [(body + written)[at : at + size] for at in range(0, len(body + written), size)]
    last, (first, begin) = len(parts) - 1, divmod(len(body), size)
    if zip64:
        place = len(parts[-1])
        counts = (len(infos), len(infos), len(written), begin)
        parts[-1] += struct.pack("<4sQ2H2L4Q", b"PK\x06\x06", 44, 45, 45, last, first, *counts)
        parts[-1] += struct.pack("<4sLQL", b"PK\x06\x07", last, place, len(parts))
        parts[-1] += struct.pack("<4s4H2LH", b"PK\x05\x06", *(0xFFFF,) * 4, *(0xFFFFFFFF,) * 2, 0)
    else:
        counts = (len(infos), len(infos), len(written), begin)
        parts[-1] += struct.pack("<4s4H2LH", b"PK\x05\x06", last, first, *counts, 0)
    return parts
