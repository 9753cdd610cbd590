"""MTBench, AlpacaEval 2 and MixEval by Evalchemy, in an environment and from a clone of their own (sec. 3.1).

May import: the rest of evaluation and below.
"""
