"""Dataset cards: source, licence, layout and groups of each dataset.

A card is a file `conf/cards/NAME.yaml`. To add a dataset, add a card.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, ValidationError, model_validator

from earshot import project
from earshot.datasets.layouts import KINDS, ClassFolders, Events, FeatureTable, Layout, Table
from earshot.datasets.schema import Part, Texts, each_once
from earshot.datasets.sources import Source
from earshot.errors import EarshotError
from earshot.schema.params import DATASET, RULE
from earshot.schema.sections import must
from earshot.schema.yaml_text import read_yaml, shown, told_type

ClassMap = Annotated[dict[str, Texts], Field(min_length=1), AfterValidator(each_once)]


class Member(Part):
    """A dataset in a union; `classes` takes the place of the map in the member's own card."""

    classes: ClassMap | None = None


def _by_name(union: object) -> object:
    """Return a list of datasets as a mapping, as one with maps is written."""
    if isinstance(union, list):
        if len(set(map(str, union))) < len(union):
            raise ValueError("names a dataset twice")
        return dict.fromkeys(map(str, union), Member())
    return {name: member or {} for name, member in union.items()} if isinstance(union, dict) else union


Named = list[str | int] | dict[str, Member | None]
Union = Annotated[dict[str, Member], Field(min_length=2), BeforeValidator(_by_name, json_schema_input_type=Named)]


class Card(Part):
    """A dataset card.

    A dataset has a `source` and a `layout`; or it is a `union` of others, whose recordings and groups stay apart by
    their names: `[one, other]`, or `{one: {}, other: {classes: …}}` with a map for a member.

    `task` is the first part of the experiments' names (`TASK-INPUT-MODEL`); `needs` names a card with group labels
    that is downloaded with this one. Models are never trained on a `test_only` dataset; those of the other datasets of
    its task are tested on it. Short recordings are summarised as a whole (input `summary`), and are wholly in one part
    of the published protocol; with `by_window` it is window by window, as with long recordings, so that models of these
    can be tested on them. `channel` is the number of the channel that models get, from 0, or `mix` for the mean of all;
    in a union it is each member's own.

    `classes` maps classes to the labels of the layout that they are made of, "*" for all that no other class names:
    `{emergency: [siren, ambulance], non_emergency: "*"}`. A recording with a label that is in no class is left out. In
    a union the labels are its members' classes. `known_bad` maps files that are known to be set aside to the reason.
    """

    name: str
    title: str
    task: Annotated[str, Field(pattern=f"^{DATASET}$"), must(f"text {RULE}, such as birds")] | None = None
    synthetic: bool = False
    licence: str
    citation: str
    source: Source | None = None
    union: Union | None = None
    layout: Layout | None = None
    needs: str | None = None
    test_only: bool = False
    by_window: bool = False
    classes: ClassMap | None = None
    known_bad: dict[str, str] = {}
    channel: Annotated[int, Field(ge=0)] | Literal["mix"] = "mix"

    @model_validator(mode="after")
    def _a_task_for_recordings(self) -> Card:
        if (self.layout or self.union) and not self.task:
            raise ValueError("task is missing: what is classified, such as birds, under which experiments are listed")
        return self

    @model_validator(mode="after")
    def _source_or_union(self) -> Card:
        if (self.source is None) == (self.union is None):
            raise ValueError("needs a source, or a union of other datasets")
        if self.union and (own := [key for key in ("layout", "needs", "known_bad") if getattr(self, key)]):
            raise ValueError(f"a union has the layouts of its members: take out {', '.join(own)}")
        return self

    @model_validator(mode="after")
    def _in_one_place(self) -> Card:
        if self.needs and self.in_place:
            raise ValueError(f"source.copy is false, so the files of {self.needs} can't be put there: leave needs out")
        return self

    @property
    def in_place(self) -> bool:
        """Whether the files are read where they are."""
        return self.source is not None and self.source.in_place

    @property
    def holds_recordings(self) -> bool:
        """Whether it is more than a table that others need."""
        return bool(self.layout or self.union)

    @property
    def clips(self) -> bool:
        """Whether the recordings are short, each of one class and summarised as a whole."""
        if self.by_window:
            return False
        if self.union:
            return all(member.clips for member in members_of(self).values())
        whole = isinstance(self.layout, Table) and not self.layout.start
        return whole or isinstance(self.layout, ClassFolders | FeatureTable)

    @property
    def multi_label(self) -> bool:
        """Whether a recording may have several classes."""
        if self.union:
            return any(member.multi_label for member in members_of(self).values())
        if isinstance(self.layout, Events):
            return self.layout.overlaps == "together"
        return isinstance(self.layout, Table) and self.layout.separator is not None

    @property
    def label(self) -> str:
        """The name to show with results, which marks synthetic datasets."""
        return f"{self.name} (synthetic)" if self.synthetic else self.name

    @property
    def has_sound(self) -> bool:
        """Whether there are recordings, rather than a table of features in their place."""
        return not isinstance(self.layout, FeatureTable)


def texts(value: Any) -> Iterator[str]:
    """Yield every text in a nested value, such as a layout's: among them are the names of all its files."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list | tuple):
        for item in value.values() if isinstance(value, dict) else value:
            yield from texts(item)


def card_path(name: str) -> Path:
    """Return the path of the card of dataset `name`."""
    return project.root() / "conf" / "cards" / f"{name}.yaml"


def dataset_names() -> list[str]:
    """List the datasets that have a card."""
    return sorted(path.stem for path in card_path("*").parent.glob("*.yaml"))


def members_of(card: Card) -> dict[str, Card]:
    """Return the cards of a union's members by name, with the union's task and maps; none for another dataset.

    Raises
    ------
    EarshotError
        If a member can't be one.
    """
    found = {}
    for name, given in (card.union or {}).items():
        member = load_card(name)
        why = {
            "is a union itself: name its members": member.union,
            "is for testing alone (test_only in its card)": member.test_only,
            "holds no recordings": not member.holds_recordings,
            "is a table of features, without sound": not member.has_sound,
            "is read in place (source.copy in its card)": member.in_place,
        }
        if faults := [fault for fault, holds in why.items() if holds]:
            raise EarshotError(f"{card_path(card.name)}: union: {name} {faults[0]}")
        found[name] = member.model_copy(update={"task": card.task, "classes": given.classes or member.classes})
    return found


def known_bad_of(card: Card) -> dict[str, str]:
    """Return the files that are known to be set aside, and why; those of a union are its members'."""
    members = members_of(card).items()
    return card.known_bad | {f"{n}/{path}": why for n, member in members for path, why in member.known_bad.items()}


def channel_of(card: Card) -> Callable[[str], int | str]:
    """Return what says of a recording, or its path, which channel models get: in a union it is its member's."""
    channels = {name: member.channel for name, member in members_of(card).items()}
    return lambda name: channels[name.partition("/")[0]] if channels else card.channel


def trained_on(names: Iterable[str]) -> list[str]:
    """Return those of some datasets that models may be trained on, in their order."""
    return [name for name in names if not load_card(name).test_only]


def load_card(name: str) -> Card:
    """Read and check the card of dataset `name`.

    Raises
    ------
    EarshotError
        If there is no such card, or a key in it is missing, unknown or wrong.
    """
    path = card_path(name)
    _check_name(name, path)
    try:
        content = read_yaml(path)
    except (ValueError, OSError) as error:
        raise EarshotError(f"{path} is not a dataset card: {error}") from None
    if not isinstance(content, dict) or "name" in content:
        wrong = "its name is that of the file, `name` is no key" if isinstance(content, dict) else told_type(content)
        raise EarshotError(f"{path} is not a dataset card: {wrong}. A card holds lines such as `title: My birds`")
    try:
        return Card(name=name, **content)
    except ValidationError as error:
        raise EarshotError(f"{path}: {'; '.join(_fault(each) for each in error.errors())}") from None


def _check_name(name: str, path: Path) -> None:
    """Check that a dataset's name keeps to the rule, and that there is a card of that name.

    Raises
    ------
    EarshotError
        If not; it says what to rename, or which cards there are.
    """
    if not re.fullmatch(DATASET, name):
        if path.name == f"{name}.yaml" and path.is_file():
            better = re.sub(r"[^\w-]", "_", name).lstrip("-")
            raise EarshotError(f"{path}: a dataset's name is {RULE}. Rename the card, such as to {better}.yaml")
        raise EarshotError(f"no dataset is called '{name}', since a name is {RULE}; {_known()}")
    if not path.is_file():
        inside = path.relative_to(project.root())
        if (project.workspace() / inside).is_file():  # a DVC experiment runs in a copy
            raise EarshotError(f"{path} is missing: DVC copies what git tracks, so type `git add {inside}` first")
        other = next((card for card in misnamed() if card.stem == name), None)
        rename = f"rename {other} to {name}.yaml" if other else _known()
        raise EarshotError(f"no dataset is called '{name}': {path} is missing; {rename}")


def _known() -> str:
    return f"cards there are: {', '.join(dataset_names()) or 'none'}"


def misnamed() -> list[Path]:
    """List the files beside the cards that would be cards if their suffix were .yaml."""
    files = card_path("*").parent.glob("*.[yY]*")
    return sorted(path for path in files if path.suffix.lower() in (".yml", ".yaml") and path.suffix != ".yaml")


def _fault(error: Any) -> str:
    """Put an error of pydantic's into words: the key, the value and what is right."""
    key = ".".join(str(part) for part in error["loc"] if part not in KINDS) or "card"
    value, kind = error["input"], error["type"]
    if kind == "missing":
        return f"{key} is missing"
    if kind == "extra_forbidden":
        return f"{key} is no key of a card"
    if kind in ("must", "string_type") and not isinstance(value, str | list | dict | None):
        return f"{key} is {shown(value)}, which is {told_type(value)} to YAML: write it in quotes"
    if kind == "must":
        return f"{key} is {shown(value)}, and must be {error['ctx']['right']}"
    of = f" ({shown(value)})" if isinstance(value, str | int | float) else ""
    return f"{key}: {error['msg'].removeprefix('Value error, ')}{of}"
