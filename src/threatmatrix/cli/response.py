"""``incidents`` and ``respond``: the story of an attack, and what is done about it."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from threatmatrix.cli.options import Format, TableOrJson
from threatmatrix.cli.settings import Settings, settings_of
from threatmatrix.model.errors import UsageError

if TYPE_CHECKING:
    from threatmatrix.model.response import RunRecord
    from threatmatrix.workflows.respond import Responder

__all__ = ["incidents_app", "respond_app"]


AllowHost = Annotated[
    list[str] | None,
    typer.Option("--allow-host", help="host or host:port that http-api actions may reach, besides this machine."),
]

incidents_app = typer.Typer()
respond_app = typer.Typer(no_args_is_help=True)


@incidents_app.callback(invoke_without_command=True)
def incidents(ctx: typer.Context, output_format: Format = TableOrJson.table) -> None:
    """List the incidents, the newest first."""
    if ctx.invoked_subcommand is None:
        from threatmatrix.cli.response_tables import show_incidents

        with settings_of(ctx).open_home().open_store() as store:
            found = sorted(store.incidents.list(), key=lambda each: each.first_time, reverse=True)
        names = settings_of(ctx).principal_names()
        show_incidents(found, names=names, where=store.where, as_json=output_format is TableOrJson.json)


@incidents_app.command("show")
def show(
    ctx: typer.Context,
    incident_id: Annotated[str, typer.Argument(metavar="ID", help="An id that `threatmatrix incidents` lists.")],
    output_format: Format = TableOrJson.table,
) -> None:
    """Tell one incident: the chain, the principals, the findings, and what was done."""
    from threatmatrix.cli.response_tables import show_story
    from threatmatrix.workflows.respond import story

    settings = settings_of(ctx)
    with settings.open_home().open_store() as store:
        found = story(store, incident_id)
    show_story(
        found, settings.load_library(), names=settings.principal_names(), as_json=output_format is TableOrJson.json
    )


@respond_app.command("run")
def run(
    ctx: typer.Context,
    incident_id: Annotated[str, typer.Argument(metavar="ID", help="The incident to respond to.")],
    variables: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="A playbook variable, for example __notify_url__=http://…"),
    ] = None,
    allow_host: AllowHost = None,
    output_format: Format = TableOrJson.table,
) -> None:
    """Run the playbook of the furthest technique in the incident's chain; only what is new is done."""
    from threatmatrix.cli.printing import warn

    with _responder(settings_of(ctx), variables=_pairs(variables or ()), allow_hosts=allow_host or ()) as responder:
        known = {each.run_id for each in responder.runs()}
        done = responder.respond_to(incident_id)
        _show([done] if done else [], responder, as_json=output_format is TableOrJson.json)
        if done is None:
            warn(f"no technique in the chain of {incident_id} has a playbook: a person decides what to do")
        elif done.run_id in known:
            warn(f"nothing new to do for {incident_id}: its latest run stands")


@respond_app.command("resume")
def resume(ctx: typer.Context, allow_host: AllowHost = None, output_format: Format = TableOrJson.table) -> None:
    """Finish runs that a crash interrupted; what may or may not have happened waits for a human."""
    with _responder(settings_of(ctx), allow_hosts=allow_host or ()) as responder:
        finished = responder.resume()
        _show(finished, responder, as_json=output_format is TableOrJson.json)


@respond_app.command("status")
def status(ctx: typer.Context, output_format: Format = TableOrJson.table) -> None:
    """Every run with its actions and their state; doubtful ones first."""
    with _responder(settings_of(ctx)) as responder:
        _show(responder.runs(), responder, as_json=output_format is TableOrJson.json)


@respond_app.command("decide")
def decide(
    ctx: typer.Context,
    key: Annotated[str, typer.Argument(metavar="KEY", help="The action, by the key that `respond status` shows.")],
    happened: Annotated[
        bool, typer.Option("--happened/--did-not-happen", help="Whether the action took effect at the target.")
    ],
    by: Annotated[str, typer.Option("--by", help="Who decides; it goes into the ledger.")],
    output_format: Format = TableOrJson.table,
) -> None:
    """Say whether a doubtful action took effect; its run goes on from there."""
    with _responder(settings_of(ctx)) as responder:
        decided = responder.decide(key, happened=happened, by=by)
        _show([decided], responder, as_json=output_format is TableOrJson.json)


@respond_app.command("undo")
def undo(
    ctx: typer.Context,
    incident_id: Annotated[str, typer.Argument(metavar="ID", help="The incident whose measures to withdraw.")],
    by: Annotated[str, typer.Option("--by", help="Who withdraws them; it goes into the ledger.")],
    output_format: Format = TableOrJson.table,
) -> None:
    """Withdraw every policy entry that the incident's playbook runs put in force."""
    from threatmatrix.cli.response_tables import show_actions

    with _responder(settings_of(ctx)) as responder:
        undone = responder.undo(incident_id, by=by)
        show_actions(undone, as_json=output_format is TableOrJson.json)


@contextmanager
def _responder(
    settings: Settings, *, variables: Mapping[str, str] | None = None, allow_hosts: Sequence[str] = ()
) -> Iterator[Responder]:
    from threatmatrix.workflows.respond import LOOPBACK, Responder

    home = settings.open_home()
    with home.open_store() as store:
        yield Responder(
            store,
            settings.load_library(),
            home.policy,
            clock=lambda: time.time_ns() // 1000,
            variables=variables,
            allowed_hosts=(*LOOPBACK, *allow_hosts),
        )


def _pairs(given: Sequence[str]) -> dict[str, str]:
    pairs = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise UsageError(f"--set {text!r} is not NAME=VALUE", hint="For example --set __ttl_seconds__=3600")
        pairs[name] = value
    return pairs


def _show(runs: Sequence[RunRecord], responder: Responder, *, as_json: bool) -> None:
    from threatmatrix.cli.response_tables import show_runs

    show_runs(runs, responder.actions(runs), as_json=as_json)
