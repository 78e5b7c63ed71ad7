"""Nested values with tensors in one file without pickle: safetensors, with the rest as JSON in one of the tensors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save

from earshot import files, seal
from earshot.errors import EarshotError

REST = "rest"  # the tensor's name


def write(path: Path, value: Any) -> None:
    """Write dictionaries, lists, tuples, numbers, texts and tensors to `path`, in one step."""
    tensors: dict[str, torch.Tensor] = {}
    tensors[REST] = torch.frombuffer(bytearray(json.dumps(_told(value, tensors)).encode()), dtype=torch.uint8)
    with files.replacing(path) as temporary:
        temporary.write_bytes(save(tensors))
        seal.append(temporary, path)


def read(path: Path) -> Any:
    """Return what `write` has written; tensors are on the CPU.

    Raises
    ------
    EarshotError
        If the file can't be read, or is not as it was written.
    """
    try:
        if not seal.is_whole(path):
            raise ValueError("it has changed since it was written")
        tensors = load(path.read_bytes()[: -seal.LENGTH])
        return _value(json.loads(bytes(tensors.pop(REST).numpy())), tensors.__getitem__)
    except (OSError, SafetensorError, TypeError, KeyError, ValueError) as error:
        raise EarshotError(f"{path} can't be read ({error}): delete it") from None


def _told(value: Any, tensors: dict[str, torch.Tensor]) -> Any:
    """Return a value as JSON knows it, with its kind where JSON has none; its tensors are put in `tensors`."""
    if isinstance(value, torch.Tensor):
        name = str(len(tensors))
        tensors[name] = value.detach().cpu().clone(memory_format=torch.contiguous_format)  # none may share memory
        return {"tensor": name}
    if isinstance(value, dict):  # keys may be numbers
        return {"dict": [[key, _told(item, tensors)] for key, item in value.items()]}
    if isinstance(value, tuple | list):
        return {type(value).__name__: [_told(item, tensors) for item in value]}
    return value


def _value(told: Any, tensor: Any) -> Any:
    if not isinstance(told, dict):
        return told
    [(kind, found)] = told.items()
    if kind == "tensor":
        return tensor(found)
    if kind == "dict":
        return {key: _value(item, tensor) for key, item in found}
    return (tuple if kind == "tuple" else list)(_value(item, tensor) for item in found)
