"""What the user sees of a run: errors, log lines, progress bars, formats. Nothing here decides a byte of an out.

May import: nothing of ours.
"""
