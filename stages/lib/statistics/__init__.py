"""What a number says beyond its own rows: intervals, tests, the bootstrap. Pure functions on arrays.

May import: core and below.
"""
