"""Every text of the pages, by what says it."""
