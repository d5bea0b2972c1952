"""What the agent knows when it starts: what it kept, or the trust root that the box was provisioned with."""

from datetime import UTC, datetime
from typing import Final, Literal

from reconciler_agent.core.trust import first_state
from reconciler_agent.durable import Disk
from reconciler_agent.errors import SettingsInvalid
from reconciler_agent.settings import Settings
from reconciler_agent.state import State, Store
from schemas.status import Reason

BUILT_AT: Final = datetime(2025, 11, 1, tzinfo=UTC)
"""It is at least this late, whatever the clock says."""
Said = tuple[Literal["info", "warning", "error"], Reason, str]


def load_state(settings: Settings, store: Store) -> list[Said]:
    """Load what was kept; without it begin with the provisioned trust root. What is to be said about it, as events."""
    loaded = store.load()
    if loaded.state is not None:
        said = [f"{name} was damaged; its twin was used." for name in loaded.damaged]
        said += [f"Of what a newer agent kept, some of {name!r} cannot be read here." for name in loaded.left_out]
        return [("warning", "StateDamaged", sentence) for sentence in said]
    try:
        root = settings.trust.read_bytes()
    except OSError as problem:
        raise SettingsInvalid(f"cannot read the trust root {settings.trust}: {problem.strerror}") from None
    store.hold(State(trust=first_state(root, BUILT_AT)))
    if loaded.damaged:
        lost = f"{' and '.join(loaded.damaged)} were damaged; the box starts again from its provisioned trust root."
        return [("error", "StateLost", lost)]
    return [("info", "FirstStart", "The agent starts for the first time here, with its provisioned trust root.")]


def read_state(settings: Settings) -> State | None:
    """What the agent last kept, for a person to read; None when it never ran here."""
    if not settings.state.is_dir():
        return None
    disk = Disk(settings.state, "", "")
    try:
        return Store(disk).load().state
    finally:
        disk.close()
