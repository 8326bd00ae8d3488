"""When a correlation fires: one judge for each kind, over the rows of one group."""
