"""The group `earshot`, whose commands and help are put together from the sections.

Each section is a module with its `TITLE` and `COMMANDS`. What a command needs is imported in it, so that each starts
at once. The stages are not among them: they are `python -m earshot.stages NAME`, and DVC runs them.
"""

from __future__ import annotations

import click

from earshot.cli import checks, deployment, listening, own_project, pipeline, tracking, training

SECTIONS = (own_project, pipeline, checks, training, listening, deployment, tracking)


class Sections(click.Group):
    """A group whose help lists the commands by section."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the sections, each with its commands in their order."""
        width = formatter.width - 6 - max(map(len, self.commands))
        for section in SECTIONS:
            with formatter.section(section.TITLE):
                formatter.write_dl([(command.name, command.get_short_help_str(width)) for command in section.COMMANDS])


@click.group(cls=Sections, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="earshot")
def main() -> None:
    """Reproducible audio classification: datasets, splits without leaks, training, evaluation and detection.

    \b
    Exit codes: 0 success, 1 failure (the reason is on standard error), 2 wrong usage.
    Completion: eval "$(_EARSHOT_COMPLETE=bash_source earshot)"; zsh_source and fish_source for other shells.
    """


for section in SECTIONS:
    for command in section.COMMANDS:
        main.add_command(command)
