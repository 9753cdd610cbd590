"""A judge's scores and choices, and their statistics (sec. 3.3, Tab. 4, Fig. 3-4).

May import: generation, evaluation and below.
"""
