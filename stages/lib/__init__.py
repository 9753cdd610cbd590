"""The rooms: one per step of the paper, and what they stand on. pyproject.toml holds which may import which."""
