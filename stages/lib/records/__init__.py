"""The rows that flow through the pipeline: their schemas, parquet shards, readers of others' files.

May import: core and below.
"""
