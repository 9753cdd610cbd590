"""`make experiments`: experiments and commits in one table, what each changed, and whether its numbers differ."""
