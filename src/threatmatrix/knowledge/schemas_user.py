"""The schemas of the files that describe a user's own side: systems.yaml and scope.yaml."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StringConstraints

from threatmatrix.knowledge.schema_types import Line, Number, Slug, StrictModel
from threatmatrix.model.system import Criticality, TellBy, Trait

__all__ = ["ScopeFile", "SystemsFile"]


Source = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_-]*$", max_length=60)]
Host = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9*._:\[\]-]+$", max_length=253)]
Header = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9-]+$", max_length=100)]


class ModelItem(StrictModel):
    """A model of a system, the paths under which it is served, and the range of its inputs' numbers."""

    name: Line
    endpoints: list[Annotated[Line, StringConstraints(pattern=r"^/")]] = Field(default_factory=list)
    input_range: Annotated[list[Number], Field(min_length=2, max_length=2)] | None = None


class TelemetryItem(StrictModel):
    """A log of a system; the source ``mapping`` needs the file that says where each field stands."""

    source: Source
    path: Line
    mapping: Line | None = None


class PrincipalItem(StrictModel):
    """Which fields tell a principal, in order; which header, which networks; and readable names for identities."""

    tell_by: Annotated[list[TellBy], Field(min_length=1)] = Field(default_factory=lambda: list[TellBy](["principal"]))
    header: Header | None = None
    names: dict[str, Line] = Field(default_factory=dict)
    addresses: dict[str, Line] = Field(default_factory=dict)


class SystemItem(StrictModel):
    """A system that is defended."""

    name: Line
    owner: Line
    criticality: Criticality
    traits: list[Trait] = Field(default_factory=list)
    hosts: list[Host] = Field(default_factory=list)
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
