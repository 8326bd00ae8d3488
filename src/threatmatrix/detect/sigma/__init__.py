"""Sigma rules: read (``documents``), refused or accepted (``guard``), compiled (``compile``), written as SQL (``sql``).

The way of a rule: text → guarded YAML → pySigma → the intermediate form of ``ir`` → an SQLGlot tree, whose leaves
come from the table of one dialect (``dialects``). docs/rules.md says what of Sigma is supported.
"""
