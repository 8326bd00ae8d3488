"""threatmatrix: an Adversarial ML Threat Matrix that you can run."""

from __future__ import annotations

__version__ = "0.1.0"
