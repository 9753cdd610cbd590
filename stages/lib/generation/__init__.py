"""Conversations of many turns: generated through the store or imported; what they cost (sec. 2.1).

May import: engines and below.
"""
