"""Which readers have a plan. The readers are the truth; see docs/ingest.md."""

from __future__ import annotations

from threatmatrix.telemetry.columnar.plan import Plan
from threatmatrix.telemetry.columnar.plan_gateway import gateway_plan
from threatmatrix.telemetry.columnar.plan_mapping import mapping_plan
from threatmatrix.telemetry.columnar.plan_proxy import envoy_plan, nginx_plan
from threatmatrix.telemetry.readers import Options, Reader
from threatmatrix.telemetry.readers.envoy import EnvoyReader
from threatmatrix.telemetry.readers.gateway import GatewayReader
from threatmatrix.telemetry.readers.mapping import MappingReader
from threatmatrix.telemetry.readers.nginx import NginxReader

__all__ = ["plan_for"]


def plan_for(reader: Reader, options: Options) -> Plan | None:
    """The plan that says the same as this reader, if there is one. Another class, a plug-in say, has none."""
    kind = type(reader)
    if kind is GatewayReader:
        return gateway_plan(keep_raw=options.inputs is not None and options.inputs.keep_raw)
    if kind is NginxReader:
        return nginx_plan(reader)
    if kind is EnvoyReader:
        return envoy_plan(reader)
    return mapping_plan(options.mapping) if kind is MappingReader and options.mapping is not None else None
