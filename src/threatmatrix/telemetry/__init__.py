"""A raw record → an event: one reader per source, the tail, the lake. Judges nothing."""
