"""PostgreSQL: plain SQL beside the function that runs it."""
