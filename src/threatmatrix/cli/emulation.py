"""``emulate``: carry out a procedure against a target, within its scope; look at what there is; clean up."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from threatmatrix.cli.options import Format, TableOrJson
from threatmatrix.cli.progress import progress
from threatmatrix.cli.settings import settings_of

__all__ = ["emulate_app"]

emulate_app = typer.Typer(no_args_is_help=True)

Reference = Annotated[
    list[str] | None,
    typer.Option("--reference", help="NAME=VALUE: a parameter of a reference target (docs/targets.md). Repeatable."),
]
Names = Annotated[list[str], typer.Argument(help="Procedures, in order: later ones use what earlier ones bring back.")]


@emulate_app.command("list")
def list_procedures(
    ctx: typer.Context,
    technique: Annotated[str, typer.Option("--technique", help="Only those of this technique (slug).")] = "",
    output_format: Format = TableOrJson.table,
) -> None:
    """List the procedures of the library: what each needs, costs and leaves."""
    from threatmatrix.cli.emulation_tables import show_procedures

    library = settings_of(ctx).load_library()
    found = library.technique(technique).procedures if technique else library.procedures()
    show_procedures(found, library, as_json=output_format is TableOrJson.json)


@emulate_app.command("attacks")
def list_attacks(output_format: Format = TableOrJson.table) -> None:
    """List the attacks that a procedure's steps can use, with access level, cost and source."""
    from threatmatrix.cli.emulation_tables import show_attacks
    from threatmatrix.emulate.attacks import attack_kinds

    show_attacks(list(attack_kinds()), as_json=output_format is TableOrJson.json)


@emulate_app.command("targets")
def list_targets(output_format: Format = TableOrJson.table) -> None:
    """List the reference targets that ship with the package, and how a target of yours is named."""
    from threatmatrix.cli.emulation_tables import show_targets
    from threatmatrix.emulate.reference import REFERENCES

    show_targets(REFERENCES, as_json=output_format is TableOrJson.json)


@emulate_app.command("show")
def show(
    ctx: typer.Context,
    procedure: Annotated[str, typer.Argument(help="Its id, as `emulate list` prints it.")],
    output_format: Format = TableOrJson.table,
) -> None:
    """Show one procedure: steps, budget, success, what it should leave in telemetry, how it is undone."""
    from threatmatrix.cli.emulation_tables import show_procedure

    library = settings_of(ctx).load_library()
    show_procedure(library.procedure(procedure), library, as_json=output_format is TableOrJson.json)


@emulate_app.command("run")
def run(
    ctx: typer.Context,
    procedures: Names,
    target: Annotated[
        str, typer.Option("--target", help="For example oip:http://127.0.0.1:8080/v2/models/fraud or reference:digits.")
    ],
    scope: Annotated[
        Path | None, typer.Option("--scope", help="The signed-off scope.yaml; only a reference target needs none.")
    ] = None,
    samples_file: Annotated[
        Path | None,
        typer.Option("--samples-file", help="The attacker's inputs with true labels: .npz (x, y) or .jsonl."),
    ] = None,
    given: Annotated[
        list[str] | None,
        typer.Option("--input", help="NAME=VALUE that a procedure needs: a number, samples, weights. Repeatable."),
    ] = None,
    samples: Annotated[int, typer.Option("--samples", min=1, help="How many of them are attacked.")] = 60,
    variant: Annotated[
        list[str] | None,
        typer.Option("--variant", help="plain (default), or how an attacker adapts: adaptive-rotation, … Repeatable."),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", min=0, help="The same seed sends the same queries.")] = 1,
    key_env: Annotated[
        list[str] | None,
        typer.Option("--key-env", help="Environment variable with an API key; several are accounts in order."),
    ] = None,
    account_header: Annotated[
        str, typer.Option("--account-header", help="Header that carries the key (default: the protocol's own).")
    ] = "",
    classes: Annotated[
        int | None, typer.Option("--classes", min=2, help="Number of classes (default: the highest label and one).")
    ] = None,
    class_name: Annotated[
        list[str] | None,
        typer.Option("--class-name", help="Name of a class, in order, for servers that answer in words. Repeatable."),
    ] = None,
    reference: Reference = None,
    furnishing: Annotated[
        str, typer.Option("--furnishing", help="Of the artefact store beside reference:digits: service or recognition.")
    ] = "service",
    keep: Annotated[
        bool, typer.Option("--keep", help="Leave the target as the attack left it; `emulate clean-up` takes it back.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the upper bound of queries; send nothing.")] = False,
    output_format: Format = TableOrJson.table,
) -> None:
    """Attack a target, beside a random control at equal cost, confirm by fresh queries, clean up, keep the evidence.

    Leaves with 1 where an attack does not beat its random control. A file STOP in the run's folder
    (emulations/<name> under --home) stops it at once; Ctrl-C stops it and takes back what it changed.
    """
    from threatmatrix.cli.emulation_tables import show_emulation, show_query_plan
    from threatmatrix.cli.printing import warn
    from threatmatrix.workflows import emulation
    from threatmatrix.workflows.target_files import read_target

    settings = settings_of(ctx)
    library = settings.load_library()
    spec, template = read_target(target)
    request = emulation.Request(
        procedures=tuple(procedures),
        target=spec,
        scope_file=scope,
        samples_file=samples_file,
        samples=samples,
        inputs=tuple(given or ()),
        variants=tuple(variant or ("plain",)),
        seed=seed,
        keys=tuple(key_env or ()),
        account_header=account_header,
        classes=classes,
        class_names=tuple(class_name or ()),
        reference=tuple(reference or ()),
        furnishing=furnishing,
        template=template,
        keep=keep,
    )
    now = time.time_ns() // 1000
    as_json = output_format is TableOrJson.json
    with progress(quiet=settings.quiet or dry_run) as shown:
        shown.stage("preparing")
        prepared = emulation.prepare(request, library, now)
        if dry_run:
            show_query_plan(prepared.plan.queries, as_json=as_json)
            return
        try:
            report = emulation.emulate(prepared, settings.open_home(), library, progress=shown, now=now)
        except KeyboardInterrupt:
            warn("stopped; `threatmatrix emulate status` says whether something is still to be taken back")
            raise
    show_emulation(report, library, as_json=as_json)
    if not all(each.worked for each in report.procedures):
        raise typer.Exit(1)


@emulate_app.command("status")
def status(ctx: typer.Context, output_format: Format = TableOrJson.table) -> None:
    """List emulations and what each has still to take back."""
    from threatmatrix.cli.emulation_tables import show_states
    from threatmatrix.workflows.emulation import emulations

    show_states(emulations(settings_of(ctx).open_home()), as_json=output_format is TableOrJson.json)


@emulate_app.command("clean-up")
def clean_up(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(help="The emulation, as `emulate status` names it.")],
    output_format: Format = TableOrJson.table,
) -> None:
    """Take back everything that an emulation changed, however it ended; leaves with 1 where something is left.

    Works after the scope's end too, as long as the scope still lists the target.
    """
    from threatmatrix.cli.emulation_tables import show_clean_up
    from threatmatrix.workflows import emulation

    settings = settings_of(ctx)
    found = emulation.find(settings.open_home(), name)
    came = emulation.clean_up(found, settings.load_library())
    show_clean_up(found.name, came, as_json=output_format is TableOrJson.json)
    if not came.done:
        raise typer.Exit(1)


@emulate_app.command("serve")
def serve(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(help="A reference target, as `emulate targets` lists them.")],
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="0: any that is free.")] = 8080,
    seed: Annotated[int, typer.Option("--seed", min=0, help="The same seed makes the same data and model.")] = 1,
    reference: Reference = None,
) -> None:
    """Serve a reference target behind the gateway on this machine, until you stop it with Ctrl-C."""
    from threatmatrix.cli.printing import out, warn
    from threatmatrix.emulate.reference import REFERENCES
    from threatmatrix.model.errors import UnknownNameError
    from threatmatrix.workflows.emulation import reference_params, served

    if name not in REFERENCES:
        raise UnknownNameError("reference target", name, REFERENCES)
    folder = settings_of(ctx).open_home().ensure().root / "served"
    folder.mkdir(exist_ok=True)
    warn(f"building {name} and starting its server …")
    with served(name, seed, folder, port=port, params=reference_params(reference or ())) as url:
        out().print(f"oip:{url}/v2/models/{name}", soft_wrap=True)
        warn(f"its gateway writes {folder / name}.gateway.jsonl; Ctrl-C ends it")
        try:
            while True:
                time.sleep(3600)
        except KeyboardInterrupt:
            return
