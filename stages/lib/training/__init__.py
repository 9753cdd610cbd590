"""Fine-tuning with Axolotl in its own environment (sec. 3.1).

May import: engines and below.
"""
