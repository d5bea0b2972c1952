"""What can keep the agent from finishing a function: one sentence each, 'cannot VERB OBJECT: WHY'.

AgentError
├── SettingsInvalid       site.conf is missing or cannot be used
├── AlreadyRunning        another agent holds the lock
├── NetworkTrouble        the control plane cannot be reached, or something else answered in its place
├── AccessDenied          the control plane knows us but refuses (revoked, retired)
├── UploadRefused         the control plane will never take what we hand over, such as it is
├── TrustRefused          a signed document must not be accepted; an alarm
├── DigestMismatch        bytes are not what their digest says
├── PatchUnusable         a patch of a release does not give what it should; whole files are taken
├── DiskFull              not enough room, with a tenth kept free
├── DiskFault             the file system failed a write, a read or an fsync
├── ConfigurationUnreadable  the box's configuration.json does not parse (yet)
├── BackupUnreadable      the backup that is to be put back cannot be read here, or none can be made
├── ServiceFailed         the service manager could not do what was asked
├── ReleaseUnhealthy      a release did not pass its health check
├── ReleaseNotAdopted     what was installed by hand cannot be made a release (yet)
├── ContentNotOurs        a file that we did not put there stands where a video of the fleet belongs
├── HotspotNotOpened      the box's own Wi-Fi cannot be opened, or must not
└── Superseded            news came while a long step was running; it goes on in the next round

`reason` is also the reason of the Condition that reports it.
"""


class AgentError(Exception):
    """The root of the tree."""

    @property
    def reason(self) -> str:
        """The CamelCase word for programs and conditions."""
        return type(self).__name__


class SettingsInvalid(AgentError):
    """site.conf is missing or cannot be used."""


class AlreadyRunning(AgentError):
    """Another agent holds the lock."""


class NetworkTrouble(AgentError):
    """The control plane cannot be reached, or something else answered in its place; `retry_after_s` if it said so."""

    def __init__(self, message: str, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class AccessDenied(AgentError):
    """The control plane knows us but refuses: revoked, retired, or not ours to read."""


class UploadRefused(AgentError):
    """The control plane will never take what we hand over, such as it is."""


class TrustRefused(AgentError):
    """A signed document must not be accepted; an alarm."""


class DigestMismatch(AgentError):
    """Bytes are not what their digest says."""


class PatchUnusable(AgentError):
    """A patch of a release does not give what it should; whole files are taken in its place."""


class DiskFull(AgentError):
    """Not enough room, with a tenth of the disk kept free."""


class DiskFault(AgentError):
    """The file system failed a write, a read or an fsync."""


class ConfigurationUnreadable(AgentError):
    """The box's configuration.json does not parse (yet)."""


class BackupUnreadable(AgentError):
    """The backup that is to be put back cannot be read here, or none can be made."""


class ServiceFailed(AgentError):
    """The service manager could not do what was asked."""


class ReleaseUnhealthy(AgentError):
    """A release did not pass its health check."""


class ReleaseNotAdopted(AgentError):
    """What was installed by hand cannot be made a release (yet)."""


class ContentNotOurs(AgentError):
    """A file that we did not put there stands where a video of the fleet belongs."""


class HotspotNotOpened(AgentError):
    """The box's own Wi-Fi cannot be opened, or must not."""


class Superseded(AgentError):
    """News came while a long step was running; it goes on in the next round."""
