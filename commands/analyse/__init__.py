"""`make analyse`: compare responses that exist already, without the pipeline."""
