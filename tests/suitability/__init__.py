"""Tests of the room `suitability`."""
