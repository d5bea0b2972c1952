"""The `neopro` command line: one verb, one file."""
