"""``systems.yaml``: what is defended, who owns it, and how its telemetry tells a principal."""

from __future__ import annotations

from pathlib import Path

from threatmatrix.knowledge.check import check
from threatmatrix.knowledge.schemas_user import SystemItem, SystemsFile
from threatmatrix.knowledge.yamlfile import Document, load_yaml
from threatmatrix.model.system import ModelEntry, PrincipalMapping, System

__all__ = ["load_systems", "systems_template"]


def load_systems(path: Path) -> tuple[System, ...]:
    """The systems of a file, in its order. Raises InputError, FormatError.

    A system's name, and a pair of model and endpoint, may stand only once: an event must belong to
    one system.
    """
    document = load_yaml(path)
    content = check(document, SystemsFile, hint="`threatmatrix init` writes a commented example")
    _check_unique(document, content)
    return tuple(_system(item) for item in content.systems)


def _check_unique(document: Document, content: SystemsFile) -> None:
    names: set[str] = set()
    owners: dict[str, str] = {}
    for position, system in enumerate(content.systems):
        where = ("systems", position)
        if system.name in names:
            raise document.error((*where, "name"), f"the system {system.name} stands twice")
        names.add(system.name)
        for number, model in enumerate(system.models):
            for index, endpoint in enumerate(model.endpoints):
                here = (*where, "models", number, "endpoints", index)
                owner = owners.setdefault(endpoint, f"{system.name}/{model.name}")
                if owner != f"{system.name}/{model.name}":
                    raise document.error(here, f"the endpoint {endpoint} already belongs to {owner}")


def _system(item: SystemItem) -> System:
    return System(
        name=item.name,
        owner=item.owner,
        criticality=item.criticality,
        models=tuple(ModelEntry(model.name, tuple(model.endpoints)) for model in item.models),
        telemetry=tuple((entry.source, entry.path) for entry in item.telemetry),
        principal=PrincipalMapping(item.principal.field, tuple(item.principal.names.items())),
    )


def systems_template() -> str:
    """A commented systems.yaml that loads as it stands; ``threatmatrix init`` writes it."""
    return _TEMPLATE


_TEMPLATE = """\
# systems.yaml: the ML systems that you defend. One entry for each; docs/library.md explains every key.
systems:
  - name: digits-product            # shown in findings, incidents and coverage
    owner: vision-team              # who is told, and who may withdraw a policy
    criticality: medium             # low | medium | high | critical

    models:                         # what it serves, and under which paths
      - name: digits                # the model's name as the telemetry gives it
        endpoints:                  # * stands for anything within one part of the path
          - /v2/models/digits/infer
          - /v2/models/digits/versions/*/infer

    telemetry:                      # where its logs are, and in which format
      - source: gateway             # gateway | nginx | litellm
        path: logs/gateway.jsonl

    principal:                      # how "who was it" is told from an event
      field: principal              # principal (account or key id) | src_ip | session
      names: {}                     # readable names, for instance {key_1f0c22d94b7a: partner-a}
"""
