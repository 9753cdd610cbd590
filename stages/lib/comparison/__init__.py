"""Models compared on the same rows, fine-tunes with their DGMs, quality with cost, our numbers with the paper's.

May import: generation, evaluation and below.
"""
