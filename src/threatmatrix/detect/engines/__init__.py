"""Engines that run a compiled rule set over events: ``duckdb``, in micro-batches.

``scanning`` says which events match, ``counting`` what becomes of them from batch to batch, ``judging`` when a
correlation fires; ``rehearsal`` runs the tests that rules carry, ``visibility`` says where rules are blind.
"""
