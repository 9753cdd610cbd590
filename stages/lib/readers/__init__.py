"""Rows of files that others made: any file, column type and shape; what cannot be read is counted under its reason.

May import: records and below.
"""
