"""`make publish`: the replies of DGMs as a dataset, or a fine-tune as a model, in a folder that the hub understands."""
