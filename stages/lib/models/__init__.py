"""What a model is: its catalogue entry, the hub, its chat template and control tokens.

May import: records and below.
"""
