"""What every verb answers, word for word."""
