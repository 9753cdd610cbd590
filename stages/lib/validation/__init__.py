"""Which responses are kept, and why others are dropped (App. F).

May import: engines and below.
"""
