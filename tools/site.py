"""The pages of the site, for mkdocs: the files of the repository, each at its own path. `make site` builds it.

So a link from file to file leads to the same in the repository and in the site. A page of the reference has the path
of its module, so that a link to the code leads there; any other file that a page links to is copied. The navigation is
the list in docs/README.md, and mkdocs tells of a page of docs/ that is not in it.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from pathlib import Path

import nbformat
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from nbconvert import MarkdownExporter

LIST = "docs/README.md"
GALLERY = "docs/gallery.md"
# The rooms of the reference: what code of one's own uses or extends, see docs/extending.md.
REFERENCE = ("inputs", "models", "augment", "metrics", "splits", "detection", "audio")
ROW = re.compile(r"^\| (.*?) \| ?(.*?) ?\|$", re.MULTILINE)
LINK = re.compile(r"(!?)\[([^]]+)\]\(([^)#\s]+)")


class Made(File):
    """A page that is made from a module or a notebook, at the path of that."""

    def is_documentation_page(self) -> bool:
        """Return True, whatever the path ends with."""
        return True


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Put the files of the repository in the place of those of docs/, and set the navigation."""
    root = Path(config.config_file_path).parent
    in_docs = [Path(config.docs_dir, file.src_uri) for file in files if file.src_dir == config.docs_dir]
    found = Files([file for file in files if file.src_dir != config.docs_dir])  # the theme's
    for path in [*sorted(root.glob("*.md")), root / "data" / "README.md", *in_docs]:
        found.append(at(path.relative_to(root).as_posix(), config))
    for file in notebooks(found, config):
        found.append(file)
    reference = {room: modules(root, room) for room in REFERENCE}
    for path in (path for room in reference.values() for module in room for path in module.values()):
        found.append(of_module(path, config))
    linked = {target for page in found.documentation_pages() for _, _, target in links(page)}
    for target in sorted(linked - found.src_uris.keys()):
        if (root / target).is_file():
            found.append(at(target, config, dest_uri=f"{target}.txt"))  # so that a browser shows it
    config.nav = by_task(found)
    found.append(File.generated(config, GALLERY, content="\n\n".join(gallery(found))))
    rooms = [{room: pages} for room, pages in reference.items()]
    config.nav += [{"Gallery": GALLERY}, {"Reference": rooms}, {"All pages": LIST}]
    return found


def on_post_page(output: str, **_: object) -> str:
    """Name the dialog of the theme's search, for those who hear the page."""
    return output.replace('role="dialog"', 'role="dialog" aria-label="Search"')


def at(uri: str, config: MkDocsConfig, **where: str) -> File:
    """Return the file of the repository with this path."""
    root = str(Path(config.config_file_path).parent)
    return File(uri, root, config.site_dir, config.use_directory_urls, **where)


def links(page: File) -> Iterator[tuple[bool, str, str]]:
    """Yield of each link of a page whether it is a picture, what it says, and the path of the file it leads to."""
    for mark, says, target in LINK.findall(page.content_string):
        if "://" not in target:
            yield bool(mark), says, posixpath.normpath(posixpath.join(posixpath.dirname(page.src_uri), target))


def by_task(files: Files) -> list[dict[str, list]]:
    """Return the sections of the list of pages; a page named in capitals has its own title."""
    sections: list[dict[str, list]] = []
    for wanted, pages in ROW.findall(files.src_uris[LIST].content_string):
        if wanted.startswith("**"):
            title = wanted.strip("*")
            sections.append({title[0].upper() + title[1:]: []})
        for _, title, target in LINK.findall(pages):
            (section,) = sections[-1].values()
            page = posixpath.normpath(posixpath.join(posixpath.dirname(LIST), target))
            section.append(page if title.isupper() else {title[0].upper() + title[1:]: page})
    return sections


def modules(root: Path, room: str) -> list[dict[str, str]]:
    """Return the path of each of a room's modules by its name, the room's own first."""
    folder = root / "src" / "earshot" / room
    rest = sorted(path for path in folder.glob("*.py") if path.name != "__init__.py")
    return [{path.stem: path.relative_to(root).as_posix()} for path in (folder / "__init__.py", *rest)]


def of_module(path: str, config: MkDocsConfig) -> File:
    """Return the page that mkdocstrings fills with the docstrings of a module."""
    name = path.removeprefix("src/").removesuffix(".py").replace("/", ".").removesuffix(".__init__")
    page = Made.generated(config, path, content=f"::: {name}\n")
    if path.endswith("/__init__.py"):
        page.name = "index"
    return page


def notebooks(files: Files, config: MkDocsConfig) -> Iterator[File]:
    """Yield the page of each notebook, and the pictures in it."""
    for file in [file for file in files if file.src_uri.endswith(".ipynb")]:
        text, resources = MarkdownExporter().from_notebook_node(nbformat.reads(file.content_string, as_version=4))
        for name, picture in resources["outputs"].items():
            yield File.generated(config, posixpath.join(posixpath.dirname(file.src_uri), name), content=picture)
        files.remove(file)
        text = text.replace("![png]", "![What the code above draws]")
        text = text.replace(' border="1" class="dataframe"', "")  # then it is a table like others
        yield Made.generated(config, file.src_uri, content=text)


def gallery(files: Files) -> Iterator[str]:
    """Yield the parts of a page of all pictures that pages show, each with what it is said to show."""
    yield "# Gallery"
    for page in files.documentation_pages():
        for is_picture, says, target in links(page):
            if is_picture and target.startswith("docs/images/") and target.endswith(".png"):
                where = posixpath.relpath(target, posixpath.dirname(GALLERY))
                title = re.search(r"^# (.*)", page.content_string, re.MULTILINE).group(1)
                yield f"![{says}]({where})"
                yield f"{says}: [{title}]({posixpath.relpath(page.src_uri, posixpath.dirname(GALLERY))})"
                yield "---"
