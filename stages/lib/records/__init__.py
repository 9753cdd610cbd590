"""The rows that flow through the pipeline: their schemas, parquet shards, hashes and external sort.

May import: core and below.
"""
