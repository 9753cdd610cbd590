"""The exact rows of a mix: selection, duplicates, contamination, lengths (Tab. 1).

May import: engines and below.
"""
