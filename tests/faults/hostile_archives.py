"""Archives that are broken, or were made to do harm, unpacked as after a download."""

from __future__ import annotations

import functools
import io
import tarfile
import tempfile
import warnings
import zipfile
from collections.abc import Iterator
from pathlib import Path
from random import Random

from archives import split_zip
from earshot.datasets.download.unpack import UnpackError, unpack
from earshot.errors import EarshotError
from faults.contained import Kind
from faults.mutations import EXTREMES, broken

MOST_BYTES = 2**20
MODES = {"zip": "", "split zip": "", "tar": "w", "tar.gz": "w:gz", "tar.bz2": "w:bz2", "tar.xz": "w:xz"}
NAMES = ["a/1.wav", "a/2.wav", "b/1.wav", "README", "ü/é.wav", "a"]
BAD_NAMES = ["../x", "a/../../x", "..", "a/..", "/", "", ".", "C:/x", "..\\x", "a\nb", "a\0b", "a\x1b[2J", "A/1.WAV"]
BAD_NAMES += ["a" * 300, "a/" * 3000 + "x", "\u202ex", "con", "a/1.wav/x", "./a/./1.wav", "//x", "~/x", "-rf"]
CONTENTS = [b"", b"one", b"two\n" * 700, bytes(range(256)) * 30, bytes(2 * MOST_BYTES), bytes(16 * MOST_BYTES)]
CHANCES = [10, 10, 10, 10, 1, 0.2]
TYPES = [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE, tarfile.GNUTYPE_SPARSE]
TYPES += [tarfile.CONTTYPE, tarfile.DIRTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.XHDTYPE, b"V", b"\xff"]
MODES_OF_ZIP = [0o120777, 0o020666, 0o060666, 0o010666, 0o140666, 0o040777, 0o100644, 0]
FIELDS = ("CRC", "file_size", "compress_size", "header_offset")  # the last says where a split zip is cut
NO_CHECKSUM = "changed.tar"  # nothing in it says of a content that it has changed


def kinds() -> Iterator[Kind]:
    """Yield a kind for each format."""
    for form in MODES:
        yield Kind(form, functools.partial(_write, form), judge)


def _write(form: str, rng: Random, folder: Path) -> None:
    packed = (_zip if form.endswith("zip") else _tar)(form, rng, folder)
    parts = split_zip(packed, max(40, len(packed) // rng.randint(2, 5)), rng.random() < 0.5) if "split" in form else []
    name, parts = "whole", parts or [packed]
    if rng.random() < 0.5:
        name, number = "changed", rng.randrange(len(parts))
        parts[number] = broken(parts[number], packed, rng)
    if rng.random() < 0.1:
        rng.shuffle(parts)
    for number, part in enumerate(parts):
        (folder / f"{number}-{name}.{form.removeprefix('split ')}").write_bytes(part)


def _members(rng: Random, folder: Path) -> Iterator[tuple[str, bytes, bool]]:
    """Yield the name and content of members, and whether something more is wrong with it."""
    for _ in range(rng.randint(1, 5)):
        bad = rng.random()
        name = rng.choice([*BAD_NAMES, f"{folder}/x"]) if bad < 0.1 else rng.choice(NAMES)
        yield name, rng.choices(CONTENTS, CHANCES)[0], bad > 0.9


def _zip(form: str, rng: Random, folder: Path) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # zipfile warns of doubles
        for name, content, wrong in _members(rng, folder):
            info = zipfile.ZipInfo("placeholder")
            info.filename = name  # as it is: the constructor would mend it
            archive.writestr(info, content, zipfile.ZIP_DEFLATED)
            if wrong:
                setattr(info, rng.choice(FIELDS[: 3 if form == "split zip" else 4]), rng.choice(EXTREMES) % 2**32)
                info.external_attr = rng.choice(MODES_OF_ZIP) << 16
    return file.getvalue()


def _tar(form: str, rng: Random, folder: Path) -> bytes:
    file, of = io.BytesIO(), rng.choice((tarfile.GNU_FORMAT, tarfile.PAX_FORMAT))
    with tarfile.open(fileobj=file, mode=MODES[form], format=of) as archive:
        for name, content, wrong in _members(rng, folder):
            info = tarfile.TarInfo(name)
            info.size = len(content)
            if wrong:
                info.type, info.linkname = rng.choice(TYPES), rng.choice(("../..", "/etc/passwd", "a/1.wav"))
                info.pax_headers = {rng.choice(("path", "linkpath", "size", "mtime", "GNU.sparse.map")): "../9"}
            archive.addfile(info, io.BytesIO(content))
    return file.getvalue()


def judge(folder: Path) -> None:
    """Unpack, and look at what is there then."""
    parts = sorted(folder.iterdir())
    with tempfile.TemporaryDirectory(dir=folder.parent) as outer:
        target = Path(outer, "target")
        try:
            unpack(parts, target, most_bytes=MOST_BYTES)
        except UnpackError as error:
            raise EarshotError(str(error)) from None
        finally:
            assert [*Path(outer).iterdir()] == [target] and sorted(folder.iterdir()) == parts, "nothing is outside"
            found = [path for path in target.rglob("*") if path.is_symlink() or not path.is_dir()]
            assert all(path.is_file() and not path.is_symlink() for path in found), "files alone"
            assert sum(path.stat().st_size for path in found) <= 2 * MOST_BYTES, "not much more than allowed"
        if not parts[0].name.endswith(NO_CHECKSUM):
            assert all(path.read_bytes() in CONTENTS for path in found), "as it was packed"
