"""The locks of the environments, and what builds them: any Python from 3.9 with its standard library alone."""
