"""How well the replies of each DGM suit a base model, before it is trained on them (arXiv 2601.14249).

May import: training, mixing, generation and below.
"""
