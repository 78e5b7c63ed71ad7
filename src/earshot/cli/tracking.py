"""Section "Tracking": MLflow's dashboard, runs that MLflow has not received yet, and experiments that were deleted."""

from __future__ import annotations

import click

from earshot.errors import EarshotError, without_traceback
from earshot.tracking import links


@click.command(short_help="Open the MLflow dashboard, with the report.")
@click.option("--port", default=links.PORT, show_default=True, help="Port on this machine (127.0.0.1 only).")
@without_traceback
def dashboard(port: int) -> None:
    """Open the MLflow dashboard of all runs, with the report beside it."""
    from earshot.web import dashboard

    dashboard.start(port)


@click.command(short_help="Send unsent runs to MLflow.")
@without_traceback
def sync() -> None:
    """Send MLflow the runs that it could not receive when they were trained."""
    from earshot.tracking import outbox

    with outbox.alone():
        _send()


def _send() -> None:
    from earshot.tracking import address, outbox, store

    waiting = len(outbox.unsent())
    if not waiting:
        print("there are no unsent runs")
        return
    try:
        outbox.sync(lambda record: print(f"sent: {record.name or 'more of a run'} ({record.experiment})"))
    except Exception as error:  # whatever the store or the network raises
        left = len(outbox.unsent())
        why = error.reason if isinstance(error, store.Away) else address.told(error)
        raise EarshotError(f"MLflow at {address.shown()} took {waiting - left} of {waiting}: {why}") from None


@click.command(short_help="Restore an experiment deleted in MLflow.")
@click.argument("task")
@without_traceback
def restore(task: str) -> None:
    """Restore the MLflow experiment of TASK, and its runs, after it was deleted in the dashboard."""
    from earshot.tracking import store

    print(f"restored: {task}" if store.restore(task) else f"{task} was not deleted: nothing to restore")


TITLE = "Tracking"
COMMANDS = (dashboard, sync, restore)
