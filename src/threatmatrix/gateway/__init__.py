"""The inline decision point: policy snapshot in → allow or deny, output controls, telemetry out."""

from __future__ import annotations

from threatmatrix.gateway.asgi import Gateway
from threatmatrix.gateway.config import GatewayConfig, header_clock, wall_clock

__all__ = ["Gateway", "GatewayConfig", "header_clock", "wall_clock"]
