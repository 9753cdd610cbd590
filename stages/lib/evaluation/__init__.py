"""Benchmarks by lm-eval and Evalchemy, in one results schema (sec. 3.1).

May import: engines and below.
"""
