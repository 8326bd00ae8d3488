"""The same rules over events at rest: findings by SQL, with the ids and figures that a stream would have given."""
