"""Which events a rule matches: micro-batches with a memory of values, and relations at rest."""
