"""How alike models answer: ROUGE and METEOR over all pairs (App. A, Tab. 5).

May import: engines and below.
"""
