"""`neopro-agent install` and `uninstall`: the agent takes the place of the one that was there, and gives it back.

The order makes every moment one that a box can be switched off in and start from: what is replaced is kept first; the
key and the trust root come before the unit that needs them; our agent reads site.conf in the old form too, so that it
is converted last, and put back first.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final, NamedTuple, Protocol

from reconciler_agent.age_key import make_recipient, path_of
from reconciler_agent.beginning import BUILT_AT
from reconciler_agent.core.trust import first_state
from reconciler_agent.errors import ServiceFailed, SettingsInvalid
from reconciler_agent.install.checks import problems
from reconciler_agent.install.record import FOLDER, PATH, keep_record, read_record
from reconciler_agent.install.site_conf import settle_conf
from reconciler_agent.install.software import COMMAND, LAUNCHER, SLOTS, Bundle, removal_steps, software_steps
from reconciler_agent.install.steps import Step
from reconciler_agent.install.target import Found, Target
from reconciler_agent.install.unit import UNIT, UNIT_PATH, unit_text
from reconciler_agent.services import UnitState
from reconciler_agent.settings import Settings
from reconciler_agent.site_key import make_identity

UNIT_FILE: Final = Path(UNIT_PATH)
WANTED: Final = UNIT_FILE.parent / "multi-user.target.wants" / UNIT_FILE.name
DROP_INS: Final = UNIT_FILE.parent / f"{UNIT_FILE.name}.d"
MAX_ROOT_BYTES: Final = 1 << 20


class Units(Protocol):
    """The service manager of a machine that is up."""

    def state(self, unit: str) -> UnitState:
        """How a unit is."""

    def start(self, unit: str) -> UnitState:
        """Start a unit."""

    def stop(self, unit: str) -> UnitState:
        """Stop a unit."""

    def reload(self) -> None:
        """Read the unit files anew."""


class Wish(NamedTuple):
    """What the command line says. `trust`: a file with the fleet's trust root, None: it is on the box already.

    `bundle`: what the agent is laid into a slot from; without one the unit calls `program` as it is.
    """

    conf: Path
    program: Path
    trust: Path | None
    given: Mapping[str, Mapping[str, str]]
    bundle: Bundle | None = None


class Plan(NamedTuple):
    """What is to be done, and the settings that then hold."""

    steps: list[Step]
    settings: Settings


def plan_install(wish: Wish, target: Target, units: Units | None) -> Plan:
    """The steps that put the agent on `target`; SettingsInvalid, with every reason, when it cannot be put there.

    `units`: None for an image, where nothing runs.
    """
    text, settings = settle_conf(target, wish.conf, wish.given)
    program = None if wish.bundle is not None else wish.program
    if found := list(problems(target, settings, program)):
        raise SettingsInvalid(f"cannot install the agent: {'; and '.join(found)}")
    root = _trust_root(wish, target, settings)
    unit = unit_text(program=program or LAUNCHER, conf=wish.conf, root=settings.root, state=settings.state).encode()
    backup = settings.root / "webapp" / "configuration.backup.json"
    changed = [
        *(software_steps(target, wish.bundle, image=units is None) if wish.bundle is not None else []),
        _folder(target, settings.state),
        Step(
            f"make the keys of this box, {settings.key} and {path_of(settings.key).name}",
            lambda: all(target.look(path).form == "file" for path in (settings.key, path_of(settings.key))),
            lambda: (make_identity(target.at(settings.key)), make_recipient(path_of(target.at(settings.key)))),
        ),
        _file(target, settings.trust, root, 0o644, "the trust root that it starts from"),
        *(_gone(target, path, "what was written over the unit before") for path in _drop_ins(target)),
        _file(target, UNIT_FILE, unit, 0o644, "the unit"),
        Step(
            f"start {UNIT} with the machine",
            lambda: target.look(WANTED).target == str(UNIT_FILE),
            lambda: target.link(WANTED, str(UNIT_FILE)),
        ),
        _file(target, wish.conf, text.encode(), 0o644, "who this box is"),
        *([_gone(target, backup, "another copy of the configuration")] if _is_own(target, backup) else []),
    ]
    replaced = [wish.conf, UNIT_FILE, WANTED, settings.trust, backup, *_drop_ins(target), COMMAND]
    # in the order in which it is put back
    kept = Step(
        f"keep what is replaced in {PATH}",
        lambda: read_record(target) is not None,
        lambda: keep_record(target, replaced, _is_active(units)),
    )
    touched = [path.parent for path in (PATH, settings.key, *replaced, *([SLOTS / "x"] if wish.bundle else []))]
    return Plan([_folder(target, FOLDER), kept, *_around([*changed, _tidied(target, touched)], units)], settings)


def plan_uninstall(target: Target, units: Units | None) -> list[Step]:
    """The steps that put back what `install` replaced; none when there is nothing to put back.

    The key and what the agent knows of the fleet stay: they keep a box that comes back from being told old news.
    """
    record = read_record(target)
    if record is None:
        return removal_steps(target)
    paths = [Path(path) for path in record.files]
    back = [_put_back(target, path, record.files[str(path)]) for path in paths]
    around = _around([*back, _tidied(target, [PATH.parent, *(path.parent for path in paths)])], units)
    steps = around if record.was_active or units is None else around[:-1]
    return [*steps, _gone(target, PATH, "what was kept"), *removal_steps(target)]


def _around(changed: list[Step], units: Units | None) -> list[Step]:
    """These steps, on a machine that is up with the agent stopped before and started after them."""
    if units is None:
        return changed

    def settled() -> bool:
        return all(step.is_done() for step in changed)

    return [
        Step(f"stop {UNIT}", lambda: settled() or not _is_active(units), lambda: units.stop(UNIT)),
        *changed,
        Step("let systemd read its units anew", lambda: settled() and _is_active(units), units.reload),
        Step(f"start {UNIT}", lambda: settled() and _is_active(units), lambda: _start(units)),
    ]


def _folder(target: Target, path: Path) -> Step:
    what = f"make {path}, for its owner alone"
    return Step(what, lambda: target.has_folder(path, 0o700), lambda: target.make_folder(path, 0o700))


def _file(target: Target, path: Path, data: bytes, mode: int, what: str) -> Step:
    return Step(f"write {path}, {what}", lambda: target.holds(path, data, mode), lambda: target.put(path, data, mode))


def _gone(target: Target, path: Path, what: str) -> Step:
    return Step(f"remove {path}, {what}", lambda: target.look(path).form == "absent", lambda: target.remove(path))


def _put_back(target: Target, path: Path, found: Found) -> Step:
    what = f"remove {path}" if found.form == "absent" else f"put {path} back as it was"
    return Step(what, lambda: target.look(path) == found, lambda: target.put_back(path, found))


def _tidied(target: Target, folders: Iterable[Path]) -> Step:
    places = sorted({folder for folder in folders if not target.at(folder).is_symlink()})

    def tidy() -> None:
        for folder in places:
            if not target.is_tidy(folder):
                target.tidy(folder)

    return Step("leave nothing lying about", lambda: all(map(target.is_tidy, places)), tidy)


def _trust_root(wish: Wish, target: Target, settings: Settings) -> bytes:
    """The trust root that the box is to have; TrustRefused when it is none."""
    path = wish.trust if wish.trust is not None else target.at(settings.trust)
    try:
        with path.open("rb") as file:
            data = file.read(MAX_ROOT_BYTES)
    except OSError as problem:
        raise SettingsInvalid(
            f"cannot read the trust root {path}: {problem.strerror}; give trust/root-1.json of the fleet with --trust"
        ) from None
    first_state(data, BUILT_AT)
    return data


def _drop_ins(target: Target) -> list[Path]:
    """What the unit of the agent before us was changed by; afterwards such files are meant for ours, and stay."""
    record = read_record(target)
    if record is not None:
        return [Path(path) for path in record.files if Path(path).parent == DROP_INS]
    return sorted(DROP_INS / path.name for path in target.at(DROP_INS).glob("*.conf"))


def _is_own(target: Target, path: Path) -> bool:
    """Whether the folder is the box's own; behind a link lies a release of ours, which has no such file."""
    return not target.at(path).parent.is_symlink()


def _is_active(units: Units | None) -> bool:
    if units is None:
        return False
    try:
        return units.state(UNIT).active
    except ServiceFailed:  # there is no such unit yet
        return False


def _start(units: Units) -> None:
    if not units.start(UNIT).active:
        raise ServiceFailed(f"cannot start {UNIT}: it ended at once; `journalctl -u {UNIT}` says why")
