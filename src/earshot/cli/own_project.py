"""Section "Project": begin one, and bring it up to date with a newer earshot."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from earshot.errors import EarshotError, printable, without_traceback
from earshot.schema.yaml_text import shown

if TYPE_CHECKING:
    from earshot.scaffold.explained import Setting


@click.command(short_help="Begin a project.")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--no-git", "under_git", flag_value=False, default=True, help="Use DVC without git.")
@without_traceback
def new(folder: Path, under_git: bool) -> None:
    """Make FOLDER, a project: its settings, its stages, and git and DVC in it."""
    from earshot.scaffold.new import make

    make(folder.absolute(), under_git)
    print(f"made: {folder}. Now type:\n  cd {folder}\n  earshot repro")


@click.command(short_help="Bring the project up to date with this earshot.")
@click.option("--yes", is_flag=True, help="Write the changes without asking.")
@without_traceback
def upgrade(yes: bool) -> None:
    """Show how the project's files differ from those of the earshot that is installed, ask, and write them.

    What you have changed stays. Where earshot has changed the same lines, both are written, between <<<<<<< and
    >>>>>>>.
    """
    from earshot.scaffold import template, upgrade

    found = upgrade.changes()
    changed = [change for change in found if change.before != change.after]
    for change in changed:
        print(change.diff(), end="")
    for change in found:
        if change not in changed:
            print(f"{change.name} is another in earshot {template.version()}; yours stays as it is")
    conflicts = [change for change in changed if change.conflicts]
    for change in conflicts:
        places = f"{change.conflicts} place{'s' * (change.conflicts > 1)}"
        print(f"{change.name}: {places} that you and earshot have both changed: choose between <<<<<<< and >>>>>>>")
    if not changed:
        upgrade.write([])
        print(f"all is as in earshot {template.version()}")
        return
    if not yes and not sys.stdin.isatty():
        raise EarshotError("nothing is written: type `earshot upgrade --yes`")
    if yes or click.confirm(f"Write these {len(changed)} files?"):
        upgrade.write(found)
        print(f"written: the project is of earshot {template.version()}")


@click.command(short_help="Explain the settings of params.yaml.")
@click.argument("key", required=False)
@without_traceback
def params(key: str | None) -> None:
    """Explain KEY, such as split.folds, and what is below it: what it is, its default, and which stages it decides.

    Default: all of params.yaml.
    """
    from earshot.scaffold import explained

    for setting in explained.settings(key):
        print(printable(_told(setting)))


def _told(setting: Setting) -> str:
    lines = {
        "": setting.said,
        "must be": setting.right,
        "default": None if setting.default is None else shown(setting.default),
        "here": None if setting.value == setting.default else shown(setting.value),
        "decides": ", ".join(setting.decides),
    }
    return "\n".join([setting.key, *(f"  {name:8} {text}" for name, text in lines.items() if text)])


TITLE = "Project"
COMMANDS = (new, upgrade, params)
