"""The schemas of the files that describe a user's own side: systems.yaml and scope.yaml."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from threatmatrix.knowledge.schema_types import Attack, Line, Slug, StrictModel

__all__ = ["ScopeFile", "SystemsFile"]


class ModelItem(StrictModel):
    """A model of a system, and the paths under which it is served."""

    name: Line
    endpoints: Annotated[list[Annotated[Line, StringConstraints(pattern=r"^/")]], Field(min_length=1)]


class TelemetryItem(StrictModel):
    """A log of a system."""

    source: Attack
    path: Line


class PrincipalItem(StrictModel):
    """Which field tells a principal, and readable names for its values."""

    field: Literal["principal", "src_ip", "session"] = "principal"
    names: dict[str, Line] = Field(default_factory=dict)


class SystemItem(StrictModel):
    """A system that is defended."""

    name: Line
    owner: Line
    criticality: Literal["low", "medium", "high", "critical"]
    models: Annotated[list[ModelItem], Field(min_length=1)]
    telemetry: list[TelemetryItem] = Field(default_factory=list)
    principal: PrincipalItem = PrincipalItem()


class SystemsFile(StrictModel):
    """systems.yaml: what is defended."""

    systems: Annotated[list[SystemItem], Field(min_length=1)]


class ScopeFile(StrictModel):
    """scope.yaml: what an emulation may attack, how hard, and until when."""

    owner: Line
    hosts: Annotated[list[Line], Field(min_length=1)]
    models: Annotated[list[Line], Field(min_length=1)]
    techniques: Annotated[list[Slug], Field(min_length=1)]
    max_queries: Annotated[int, Field(ge=1)]
    rps: Annotated[float, Field(gt=0.0, allow_inf_nan=False)]
    expires: Line
    allow_remote: bool = False
