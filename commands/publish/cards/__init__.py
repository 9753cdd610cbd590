"""The cards of what is published: README.md and LICENSE.md, from templates."""
