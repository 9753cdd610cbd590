"""`make compare`: is one model better than another, and may the rows of two DGMs be mixed?"""
