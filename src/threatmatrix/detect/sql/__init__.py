"""Compiled rules → SQL, built as SQLGlot trees: the leaf table of each dialect, conditions, scans, correlations."""
