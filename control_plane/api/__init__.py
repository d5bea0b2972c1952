"""What boxes and operators call."""
