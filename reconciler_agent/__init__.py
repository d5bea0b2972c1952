"""The agent on the box: poll, verify, compare, converge, report."""

__version__ = "0.1.0"
