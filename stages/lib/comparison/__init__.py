"""Fine-tunes compared with their DGMs, and our numbers with the paper's (Fig. 2, Tab. 2, 4, 6, 7).

May import: generation, evaluation and below.
"""
