"""Sigma rules, from text to the intermediate form; what becomes of that is the room of ``detect.sql`` and the engines.

The way of a rule: text → guarded YAML (``documents``) → refused or accepted (``guard``) → logsource and fields mapped
(``pipelines``) → pySigma → conditions (``ir``) and rules (``rules``) over a ``schema``. ``translate`` reads rules for
single events, ``correlate`` correlations; ``compile`` makes a rule set of many files. docs/rules.md says what of Sigma
is supported.
"""
