"""The store of finished conversations: listed, verified, seeded, moved and pruned."""
