"""What several test modules use: builders, fake servers, a small project."""
