"""One verb, one file: each has a function that cyclopts turns into a command; imported only when it is called."""
