"""Measurements: each script is run by `python -m perf.<name>` and says what it measures."""
