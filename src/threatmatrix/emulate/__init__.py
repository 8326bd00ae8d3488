"""Procedures against targets, within a signed-off scope: raw queries and exact counts, never a finding."""
