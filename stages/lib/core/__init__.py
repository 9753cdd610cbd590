"""What every room builds on: types, files, digests, processes, rounding, typed sections.

May import: console.
"""
