"""What can keep the control plane from finishing a function: one sentence each, 'cannot VERB OBJECT: WHY'.

FleetError
├── SettingsInvalid       the settings cannot be used
├── RemoteUnreachable     the Git remote cannot be reached or refuses us
├── NotFastForward        the ref went back or sideways
├── CommitRefused         a commit has errors; carries its Problems
├── ClockBehind           our clock lies before our own newest publication
├── Superseded            another control plane published first; look again
├── DatabaseUnavailable   PostgreSQL cannot be started, reached or used
├── ObjectsUnavailable    the object store cannot be reached or refuses us
├── BlobMissing           a blob that is named is not in the object store
├── BlobRejected          an upload does not match its digest or limits
├── KeyUnusable           a private key is missing, unreadable or not the one that the trust root names
├── NotAuthenticated      no or a wrong credential
├── Forbidden             a good credential that may not do this
└── NotFound              no such site or document

Foreign exceptions become one of these at their adapter; `reason` is what problem documents and logs carry.
"""

from typing import ClassVar


class FleetError(Exception):
    """The root of the tree; `status` is the HTTP status that the API answers with."""

    status: ClassVar[int] = 500

    @property
    def reason(self) -> str:
        """The CamelCase word for programs."""
        return type(self).__name__


class SettingsInvalid(FleetError):
    """The settings cannot be used."""


class RemoteUnreachable(FleetError):
    """The Git remote cannot be reached, or refuses us."""

    status = 503


class NotFastForward(FleetError):
    """The ref went back or sideways: history that was published was rewritten."""

    status = 409


class CommitRefused(FleetError):
    """A commit has errors; `problems` are rendered, sorted lines."""

    status = 422

    def __init__(self, message: str, problems: list[str]) -> None:
        super().__init__(message)
        self.problems = problems


class ClockBehind(FleetError):
    """Our clock lies before our own newest publication or the newest commit by more than a day."""

    status = 503


class Superseded(FleetError):
    """Another control plane published first; look again."""

    status = 409


class DatabaseUnavailable(FleetError):
    """PostgreSQL cannot be started, reached or used: also a full disk, or a schema that this program does not know."""

    status = 503


class ObjectsUnavailable(FleetError):
    """The object store cannot be reached, or refuses us."""

    status = 503


class BlobMissing(FleetError):
    """A blob that is named is not in the object store."""

    status = 404


class BlobRejected(FleetError):
    """An upload does not match its digest or its limits."""

    status = 422


class KeyUnusable(FleetError):
    """A private key is missing, unreadable, or not the one that the trust root names."""


class NotAuthenticated(FleetError):
    """No or a wrong credential."""

    status = 401


class Forbidden(FleetError):
    """A good credential that may not do this."""

    status = 403


class NotFound(FleetError):
    """No such site or document."""

    status = 404
