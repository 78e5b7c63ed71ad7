"""Backbone cards: where a network comes from, what it was trained on, and how it is run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, PositiveFloat, PositiveInt, ValidationError

from earshot import project
from earshot.datasets.schema import InFolder, Part
from earshot.datasets.sources import RemoteFile
from earshot.errors import EarshotError
from earshot.schema.yaml_text import did_you_mean, read_yaml, told_type

SUFFIX = ".yaml"


class MobileNetV3(Part):
    """EfficientAT's MobileNetV3 of a width (`efficientat.mobilenet`), whose weights are a pickled state dict."""

    kind: Literal["mobilenet"]
    width: PositiveFloat


class Graph(Part):
    """A network in a file that another library runs: onnxruntime, or LiteRT for TensorFlow Lite.

    It takes `samples` samples at a time, mono with full scale 1. A window is cut into stretches of that length, one
    every `hop` samples, and what they give is averaged; what is shorter is followed by zeros. `scores` and
    `embedding` are the numbers of its outputs, from 0; the scores are probabilities, or `logits`.
    """

    kind: Literal["onnx", "tflite"]
    samples: PositiveInt
    hop: PositiveInt
    scores: Annotated[int, Field(ge=0)] | None = None
    embedding: Annotated[int, Field(ge=0)] | None = None
    logits: bool = False


class Classes(Part):
    """The table of class names, in the order of the scores.

    `file` is one of the card's; `column` of a CSV, or without one the lines of a text file; `member` of a zip, in which
    TensorFlow Lite keeps labels at its file's end.
    """

    file: InFolder
    column: str | None = None
    member: str | None = None


class BackboneCard(Part):
    """A backbone card.

    `files` are downloaded; the first is the network. Without a SHA-256 none is opened.
    """

    name: str
    title: str
    licence: str
    citation: str
    trained_on: str
    sample_rate: PositiveInt
    network: Annotated[MobileNetV3 | Graph, Field(discriminator="kind")]
    files: Annotated[list[RemoteFile], Field(min_length=1)]
    classes: Classes

    @property
    def digest(self) -> str | None:
        """The SHA-256 of the network's file."""
        return self.files[0].sha256


def card_path(name: str) -> Path:
    """Return the path of the card of backbone `name`; the name may be that path, of a card with its files beside it."""
    if name.endswith(SUFFIX):
        return Path(name)
    return project.root() / "conf" / "backbones" / f"{name}{SUFFIX}"


def backbone_names() -> list[str]:
    """List the backbones that have a card."""
    return sorted(path.stem for path in card_path("*").parent.glob("*.yaml"))


def load_card(name: str) -> BackboneCard:
    """Read and check the card of backbone `name`.

    Raises
    ------
    EarshotError
        If there is no such card, or a key in it is missing, unknown or wrong.
    """
    path = card_path(name)
    if not path.is_file():
        known = backbone_names()
        right = did_you_mean(name, known) if known else "run earshot in a project's folder, which has such cards"
        raise EarshotError(f"no backbone is called '{name}': {path} is missing; {right}")
    try:
        content = read_yaml(path)
        if not isinstance(content, dict):
            raise ValueError(f"it holds {told_type(content)}, and must hold lines such as `title: My network`")
        return BackboneCard(name=path.stem, **content)
    except ValidationError as error:
        told = "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors())
        raise EarshotError(f"{path}: {told}") from None
    except (ValueError, OSError, TypeError) as error:
        raise EarshotError(f"{path} is no backbone card: {error}") from None
