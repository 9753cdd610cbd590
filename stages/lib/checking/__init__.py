"""What is wrong in params.yaml, the catalogue and the files that they name, before anything runs.

May import: every room but report.
"""
