"""Every section of params.yaml as a typed model. Their values are tracked, so nothing here is digested.

May import: models and below.
"""
