"""`make watch`: one page of a running pipeline, rewritten while it runs."""
