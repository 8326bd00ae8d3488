"""``lake``: looking after the events at rest."""

from __future__ import annotations

import itertools
from enum import StrEnum
from typing import Annotated

import typer

from threatmatrix.cli.options import Format, TableOrJson
from threatmatrix.cli.progress import progress
from threatmatrix.cli.settings import settings_of
from threatmatrix.model.errors import UsageError

__all__ = ["lake_app"]

lake_app = typer.Typer(no_args_is_help=True)

Days = Annotated[list[str] | None, typer.Argument(help="Days, YYYY-MM-DD; without any, all.", show_default=False)]


class OutStyle(StrEnum):
    ocsf = "ocsf"
    syslog = "syslog"
    cef = "cef"


@lake_app.command("status")
def status(
    ctx: typer.Context,
    deep: Annotated[bool, typer.Option("--deep", help="Read every value: damage inside a part shows as well.")] = False,
    output_format: Format = TableOrJson.table,
) -> None:
    """List the days with their events, size and sources; damaged parts are named. Leaves with 1 where there are any."""
    from threatmatrix.cli.lake_tables import show_lake
    from threatmatrix.workflows.lake import lake_status

    found = lake_status(settings_of(ctx).open_home(), deep=deep)
    show_lake(found, as_json=output_format is TableOrJson.json)
    if found.damaged:
        raise typer.Exit(1)


@lake_app.command("compact")
def compact(
    ctx: typer.Context,
    days: Days = None,
    join: Annotated[
        bool, typer.Option("--join/--no-join", help="Join records of one request from several sources.")
    ] = True,
    output_format: Format = TableOrJson.table,
) -> None:
    """Merge the parts of each day, drop exact repeats, and join what belongs to one request, late records included."""
    from threatmatrix.cli.lake_tables import show_compaction
    from threatmatrix.workflows.lake import compact_lake

    settings = settings_of(ctx)
    with progress(quiet=settings.quiet) as shown:
        shown.stage("compacting")
        done = itertools.count(1)
        report = compact_lake(settings.open_home(), days, join=join, on_day=lambda _day, _n: shown.step(next(done)))
    show_compaction(report, as_json=output_format is TableOrJson.json)


@lake_app.command("expire")
def expire(
    ctx: typer.Context,
    keep: Annotated[
        int | None, typer.Option("--days", min=0, max=100_000, help="Keep today and so many days before it.")
    ] = None,
    before: Annotated[str | None, typer.Option("--before", help="Remove the days before this one, YYYY-MM-DD.")] = None,
    output_format: Format = TableOrJson.table,
) -> None:
    """Remove old days for good."""
    from threatmatrix.cli.lake_tables import show_expiry
    from threatmatrix.workflows.lake import expire_lake

    if (keep is None) == (before is None):
        raise UsageError("say what is to stay", hint="Give either --days N or --before YYYY-MM-DD")
    report = expire_lake(settings_of(ctx).open_home(), before=before, keep_days=keep)
    show_expiry(report, as_json=output_format is TableOrJson.json)


@lake_app.command("erase")
def erase(
    ctx: typer.Context,
    principal: Annotated[str, typer.Argument(help="The principal, as events and findings have it.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do it: what is erased cannot be brought back.")] = False,
    output_format: Format = TableOrJson.table,
) -> None:
    """Erase one principal everywhere: events in the lake, names in findings, incidents, journals and dead letters.

    What must keep the name, such as the ledger of what was done to whom, is listed with the reason.
    """
    from threatmatrix.cli.lake_tables import show_erasure
    from threatmatrix.workflows.lake import erase as workflow

    if not yes:
        raise UsageError("erasing cannot be undone", hint="Add --yes to go ahead")
    settings = settings_of(ctx)
    with progress(quiet=settings.quiet) as shown:
        shown.stage("erasing")
        report = workflow(settings.open_home(), principal)
    show_erasure(report, as_json=output_format is TableOrJson.json)


@lake_app.command("export")
def export(
    ctx: typer.Context,
    style: Annotated[OutStyle, typer.Option("--as", help="OCSF 1.8 as JSON lines, syslog (RFC 5424), or CEF.")],
    to: Annotated[
        str, typer.Option("--to", help="udp://HOST:PORT, tcp://HOST:PORT or a file; default: standard output.")
    ] = "",
    since: Annotated[str, typer.Option("--since", help="The first day, YYYY-MM-DD.")] = "",
    until: Annotated[str, typer.Option("--until", help="The last day, YYYY-MM-DD.")] = "",
    system: Annotated[str | None, typer.Option("--system", help="Only events of this system.")] = None,
) -> None:
    """Send the events of the lake on, in the order of time: to a file, a syslog receiver or standard output."""
    from threatmatrix.cli.printing import counted, warn, write
    from threatmatrix.workflows.sending import as_messages, lake_events, send_events

    home = settings_of(ctx).open_home()
    if to:
        sent = send_events(home, style.value, to, since=since, until=until, system=system)
        warn(f"{counted(sent, 'event')} sent to {to}")
        return
    for line in as_messages(lake_events(home, since=since, until=until, system=system), style.value):
        write(line + "\n")
