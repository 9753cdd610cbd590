"""What a whole run would take: how fast the engine is, which tokens, and the rest of it from a sample."""
