"""Tables of a page: matrices as heat maps, and the script that sorts, filters and copies tables.

The page reads without the script.
"""
