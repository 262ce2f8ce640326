"""A world, a policy and a loss that rl-recsys finds by entry points."""
