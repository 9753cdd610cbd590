"""Markdown and length per model, and what fine-tunes inherit (Tab. 3).

May import: engines and below.
"""
