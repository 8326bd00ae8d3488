"""Engines that run a compiled rule set over events: today ``duckdb``, in micro-batches."""
