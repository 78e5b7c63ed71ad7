"""How a dataset's files become recordings, as its card says: the layouts, and the table of groups."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from earshot.datasets.schema import InFolder, Part, Texts, each_once

COLUMN = re.compile(r"\{([^{}]+)\}")  # in the pattern of a table's paths


def _with_a_column(pattern: str) -> str:
    if not COLUMN.search(pattern):
        raise ValueError(f"names no column: write {{{pattern}}} for the column called {pattern}")
    return pattern


Pattern = Annotated[InFolder, AfterValidator(_with_a_column)]


class Groups(Part):
    """A CSV in the dataset's folder with the groups that must not be on two sides of a split, such as artists.

    `file` is the CSV; `filename`, `group` and `fold` are the names of its columns: the recording's file name
    without folders, its group, and the fold in which it is tested where the dataset has a published split.
    With `match: stem` the suffixes of file names don't count: `blues.00000.wav` is `blues.00000.au`.
    A class with too few groups to be tested without a leak can be listed under `train_only`.
    """

    file: InFolder
    filename: str = "filename"
    group: str = "group"
    fold: str | None = None
    match: Literal["name", "stem"] = "name"
    train_only: list[str] = []


class ClassFolders(Part):
    """Short recordings in a folder for each class: `FOLDER/CLASS/NAME.wav`.

    `named_after_class` says that files are called CLASS.NUMBER.wav, as GTZAN's: one that is called after another class
    than its folder's is then set aside.
    """

    kind: Literal["class_folders"]
    folder: str = "."
    groups: Groups | None = None
    named_after_class: bool = False


class LongRecordings(Part):
    """One long recording per class: `{class: file}`.

    `segments` maps a class to a CSV (`start_sample, end_sample, source`) of the stretches it was assembled from,
    where they are known; each source is a group.
    """

    kind: Literal["long_recordings"]
    recordings: dict[str, InFolder]
    segments: dict[str, InFolder] = {}


class Events(Part):
    """Recordings in a folder, and label files that say from when to when each class is heard.

    `format` is one of `annotations.formats`. `labels` is one table of all recordings, or a pattern with `{stem}` (a
    recording's name without its suffix), `{name}` (with it) or `{path}` (the path below `folder`, without the suffix):
    a label file beside each recording, or below the dataset's folder if the pattern has a slash. `columns` names those
    of a `csv` or `raven` table. `background` is the class of what no event covers; without it that is not used. A
    recording without labels is set aside, unless `unlabelled` says that all of it is background. Where events of
    several classes overlap, none is used (`overlaps: left_out`), or all are, as a set of classes (`together`), and the
    dataset is multi-label. `groups` are as for class folders; without them each recording is a group.
    """

    kind: Literal["events"]
    folder: str = "."
    format: Literal["audacity", "raven", "dcase", "audioset", "csv"]
    labels: InFolder
    columns: dict[Literal["file", "start", "end", "label", "score", "low", "high"], str] = {}
    background: Annotated[str, Field(min_length=1)] | None = None
    unlabelled: Literal["set_aside", "background"] = "set_aside"
    overlaps: Literal["left_out", "together"] = "left_out"
    groups: Groups | None = None

    @property
    def has_pattern(self) -> bool:
        """Whether each recording has a label file of its own."""
        return "{" in self.labels

    @model_validator(mode="after")
    def _keys_that_fit(self) -> Events:
        unknown = set(re.findall("{(.*?)}", self.labels)) - {"stem", "name", "path"}
        if unknown or self.labels.count("{") != self.labels.count("}"):
            raise ValueError(f"labels is '{self.labels}': a pattern has {{stem}}, {{name}} or {{path}}, and no others")
        if self.format == "audacity" and not self.has_pattern:
            raise ValueError("labels must be a pattern such as '{stem}.txt': a label track of Audacity names no file")
        if self.columns and self.format not in ("csv", "raven"):
            raise ValueError(f"columns are for csv and raven; those of {self.format} are always the same")
        if self.unlabelled == "background" and not self.background:
            raise ValueError("unlabelled: background needs background: CLASS")
        return self


class FeatureTable(Part):
    """A CSV of features in place of recordings: a row for each recording.

    `filename` and `label` name two of its columns. The features are `columns`, by default all others but those
    under `leave_out` and those that `groups` names of the same file.
    """

    kind: Literal["features"]
    file: InFolder
    filename: str = "filename"
    label: str = "label"
    columns: list[str] = []
    leave_out: list[str] = []
    groups: Groups | None = None


class OneOfTables(Part):
    """One of the tables of a dataset; `path` as in `Table`, by default the layout's.

    `values` are those of columns that it lacks: each holds for all of its rows.
    """

    file: InFolder
    path: Pattern | None = None
    values: dict[str, Annotated[str, Field(min_length=1)]] = {}


PartName = Literal["train", "validation", "test"]


class Table(Part):
    """Recordings that a table lists: a CSV or TSV in the dataset's folder with a row for each.

    `path` is the pattern of a recording's path in the dataset's folder, with columns in braces, such as
    `audio/fold{fold}/{slice_file_name}` or `clips/{id}.wav`. `label`, `group` and `fold` are the names of columns:
    the class, what must not be on two sides of a split (by default each recording is a group of its own), and the
    fold in which the recording is tested where the dataset has published folds. `groups` is another table with the
    groups, as for class folders. `train_only` is as in `Groups`.

    Where there are several tables, `tables` lists them in place of `file`.

    Where the published folds are the parts of one split, `parts` says which fold is which:
    `{train: train, validation: val, test: eval}`. Without `validation` a share of `train` is.

    `start` and `end` are columns, too, in seconds: a row is then a clip of a longer recording, which may have several,
    and what is in no clip is not used.

    In a multi-label dataset a recording has any number of labels; `separator` is what stands between them, such as ",".
    """

    kind: Literal["table"]
    file: InFolder | None = None
    tables: Annotated[list[OneOfTables], Field(min_length=1)] | None = None
    path: Pattern | None = None
    label: str = "label"
    separator: Annotated[str, Field(min_length=1)] | None = None
    group: str | None = None
    groups: Groups | None = None
    fold: str | None = None
    parts: Annotated[dict[PartName, Texts], AfterValidator(each_once)] | None = None
    start: str | None = None
    end: str | None = None
    train_only: list[str] = []

    @property
    def lists(self) -> list[OneOfTables]:
        """All tables, each with its path."""
        tables = self.tables or [OneOfTables(file=self.file or "")]
        return [table.model_copy(update={"path": table.path or self.path}) for table in tables]

    @property
    def files(self) -> str:
        """The names of the tables, for messages."""
        return " or ".join(table.file for table in self.lists)

    @model_validator(mode="after")
    def _tables_with_paths(self) -> Table:
        if bool(self.file) == bool(self.tables):
            raise ValueError("needs file, or tables where there are several; has " + ("both" if self.file else "none"))
        if not all(table.path for table in self.lists):
            raise ValueError("path is missing: where a recording of the table is, such as clips/{id}.wav")
        return self

    @model_validator(mode="after")
    def _start_and_end(self) -> Table:
        if bool(self.start) != bool(self.end):
            raise ValueError("start and end go together: each names a column, in seconds")
        if self.start and self.separator:
            raise ValueError("a clip has one label: leave out separator, or start and end")
        return self

    @model_validator(mode="after")
    def _one_group_and_fold(self) -> Table:
        if self.groups and (self.group or (self.fold and self.groups.fold)):
            raise ValueError("groups names another table: take out group, and name fold in one of the two alone")
        if self.parts and not (self.fold and {"train", "test"} <= self.parts.keys()):
            raise ValueError("parts needs train and test, and fold: the column that says which a recording is in")
        return self


Layout = Annotated[ClassFolders | LongRecordings | Table | Events | FeatureTable, Field(discriminator="kind")]
KINDS = ("class_folders", "long_recordings", "table", "events", "features")  # pydantic names them in a fault's place
