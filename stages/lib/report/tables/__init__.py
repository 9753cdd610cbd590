"""Tables of a page that are more than rows: matrices of models as heat maps."""
