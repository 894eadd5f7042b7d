"""The sections of recipes/benchmark.py, one file each."""
