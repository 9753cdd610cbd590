"""Markdown and length per model, and how much style fine-tunes inherit (Tab. 3).

May import: engines and below.
"""
