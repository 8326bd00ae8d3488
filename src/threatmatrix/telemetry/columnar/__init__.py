"""Chunks of JSON lines → rows of a DuckDB table, without an object for every line (docs/ingest.md).

A plan says in SQL what a reader says in Python. Lines that it is not certain of go through the reader itself, which
stays the only truth; ``tests/telemetry/test_columnar_same.py`` holds the two against each other.
"""
