"""Putting the agent on a box and taking it off again; one file per concern."""
