"""One module per kind of thing that is converged."""
