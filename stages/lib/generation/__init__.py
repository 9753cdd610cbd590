"""Conversations of many turns, the store that keeps them, what they cost, and replies that exist already (sec. 2.1).

May import: engines and below.
"""
