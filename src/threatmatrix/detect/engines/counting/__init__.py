"""What rules remember between batches: occurrences, groups, episodes and their evidence; snapshots of all that."""
