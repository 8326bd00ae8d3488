"""Detection: events in, findings out. Sigma rules (``sigma``, ``engines``) and stateful monitors (``monitors``)."""
