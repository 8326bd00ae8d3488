"""Findings become incidents, incidents choose a playbook, playbooks run as actions through the ledger."""
