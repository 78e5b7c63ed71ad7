"""Where a dataset comes from, as its card says: addresses, archives, folders, code."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from earshot.datasets.schema import InFolder, Part

Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
Md5 = Annotated[str, Field(pattern="^[0-9a-f]{32}$")]
Url = Annotated[str, Field(pattern="^https?://")]
Bytes = Annotated[int, Field(gt=0)]
Module = Annotated[str, Field(pattern="^[a-z][a-z0-9_]*$")]


class RemoteFile(Part):
    """A file to download: its path in the dataset's folder, and its URLs in the order they are tried.

    `md5` is for what its publisher lists no better checksum of.
    """

    path: InFolder
    urls: list[Url] = []
    sha256: Sha256 | None = None
    md5: Md5 | None = None
    bytes: Bytes | None = None

    @property
    def checksum(self) -> str | None:
        """The SHA-256, or else the MD5."""
        return self.sha256 or self.md5


class Archive(RemoteFile):
    """A tar or zip to download and unpack.

    `parts` are the files it was cut into, in their order, each with its own URLs and checksum: those of `zip -s`
    (NAME.z01, NAME.z02, …, NAME.zip), or of `split`. `path` is then only its name.

    `strip` leading folders are removed from the names of its members. Members that match the pattern `members` are
    unpacked; if the source has `checksums`, those listed there. If the contents need to be converted, `convert`
    names a module in `earshot.datasets` whose `convert(unpacked, out)` does so.
    """

    strip: Annotated[int, Field(ge=0)] = 0
    members: str = "*"
    max_unpacked_bytes: Bytes
    convert: Module | None = None
    parts: Annotated[list[RemoteFile], Field(min_length=2)] | None = None

    @property
    def files(self) -> list[RemoteFile]:
        """What is downloaded: the parts, or the archive itself."""
        return self.parts or [self]

    @model_validator(mode="after")
    def _whole_or_parts(self) -> Archive:
        if self.parts and (own := [key for key in ("urls", "sha256", "md5", "bytes") if getattr(self, key)]):
            raise ValueError(f"an archive in parts is not downloaded as a whole: give each part its {', '.join(own)}")
        return self


class GeneratedBy(Part):
    """A synthetic dataset: the module in `earshot.datasets.synthetic` that generates it, and its arguments."""

    module: Module
    arguments: dict[str, int | float | str] = {}


class Source(Part):
    """The source of the recordings.

    `files` are downloaded one by one; an `archive` is unpacked, and so are several `archives`, into the same folder;
    a `folder` on this machine is copied
    (`~` and paths relative to the project's folder are allowed), or with `copy: false` only listed, and its files are
    read where they are; it may be at an address that fsspec knows (`s3://BUCKET/PREFIX`), of which `copy: false` keeps
    in data/cache what was read. A dataset can be `generated`.
    `checksums` names a file in sha256sum's or md5sum's format beside the card, with a line for each file of the
    dataset. Exactly these files are taken then, and a mirror may hold them one by one instead of the public archive. A
    source with nothing but `checksums` is available from a mirror only.
    """

    files: list[RemoteFile] = []
    archive: Archive | None = None
    archives: list[Archive] = []
    folder: str | None = None
    copied: Annotated[bool, Field(alias="copy")] = True
    generated: GeneratedBy | None = None
    checksums: InFolder | None = None

    @model_validator(mode="after")
    def _one_source(self) -> Source:
        given = [name for name in ("files", "archive", "archives", "folder", "generated") if getattr(self, name)]
        if len(given) > 1 or not (given or self.checksums):
            raise ValueError(
                f"needs one of files, archive, archives, folder, generated or checksums; has {given or 'none'}"
            )
        if self.checksums and given in (["files"], ["archives"], ["generated"]):
            raise ValueError(f"checksums are for an archive, a folder or a mirror; give each of {given[0]} its sha256")
        names = [file.path for file in self.downloads]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"names {twice[0]} twice")
        if self.in_place and not self.folder:
            raise ValueError("copy: false is for a folder, whose files are read where they are")
        return self

    @property
    def packed(self) -> list[Archive]:
        """The archives."""
        return [self.archive] if self.archive else self.archives

    @property
    def downloads(self) -> list[RemoteFile]:
        """All files that are downloaded."""
        return [file for archive in self.packed for file in archive.files] or self.files

    @property
    def is_remote(self) -> bool:
        """Whether the folder is at an address, such as s3://BUCKET/PREFIX."""
        return self.folder is not None and "://" in self.folder

    @property
    def in_place(self) -> bool:
        """Whether the files are read where they are."""
        return not self.copied
