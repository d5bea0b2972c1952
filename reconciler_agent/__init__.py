"""The agent on the box: poll, verify, compare, converge, report."""
