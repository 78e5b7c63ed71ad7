"""The weights of EfficientAT's networks: a pickled state dict, opened once and kept as safetensors."""

from __future__ import annotations

import re
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from earshot import files
from earshot.errors import EarshotError

# the publisher's names -> ours; their dropout and pooling count as layers of the classifier, and squeeze-and-excitation
# stands in a list of its own
RENAMED = {r"conc_se_layers\.0\.": "", r"^classifier\.2\.": "classifier.0.", r"^classifier\.5\.": "classifier.3."}


def read(path: Path, digest: str) -> dict[str, torch.Tensor]:
    """Return the weights in a file whose SHA-256 was checked.

    Parameters
    ----------
    path : of the pickled file; the same as safetensors is kept beside it, with a digest that is checked each time
    digest : the pickled file's SHA-256

    Raises
    ------
    EarshotError
        If it holds something else than tensors.
    """
    own, facts = kept(path)
    if not (own.is_file() and facts.is_file() and files.read_json(facts) == _facts(own, digest)):
        found = _unpickled(path)
        with files.replacing(own) as temporary:
            save_file(found, temporary)
        files.write_json(facts, _facts(own, digest))
    return load_file(own)


def kept(path: Path) -> tuple[Path, Path]:
    """Return the paths of what is kept of a pickled file: the weights, and the digests of both."""
    return path.with_suffix(".safetensors"), path.with_suffix(".json")


def _facts(own: Path, digest: str) -> dict[str, str]:
    return {"sha256": files.digest(own), "from": digest}


def _unpickled(path: Path) -> dict[str, torch.Tensor]:
    try:
        found = torch.load(path, weights_only=True, map_location="cpu")
        return {_renamed(name): value.contiguous() for name, value in found.items()}
    except Exception as error:  # torch's errors on files that are no state dict are of many kinds
        raise EarshotError(f"{path} holds no weights that can be read ({error})") from None


def _renamed(name: str) -> str:
    for pattern, ours in RENAMED.items():
        name = re.sub(pattern, ours, name)
    return name
