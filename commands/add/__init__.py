"""`make add`: a new model in the catalogue, and where it stands among the DGMs."""
