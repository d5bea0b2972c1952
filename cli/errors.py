"""What keeps a verb from doing its work: one sentence for standard error, and the exit status."""


class CommandFailed(Exception):
    """A verb cannot go on. `status` 1: the answer is no (problems were found); 2: it could not run."""

    def __init__(self, message: str, status: int = 2) -> None:
        super().__init__(message)
        self.status = status
