"""The club's configuration left as a backup when it changed, and put back once on the box that comes after."""

import json
from pathlib import Path
from typing import Any

import pyrage
import pytest

from reconciler_agent.age_key import make_recipient, path_of
from reconciler_agent.app import Agent
from reconciler_agent.backup import BACKUP_S
from reconciler_agent.core.club import club_part
from schemas.manifest import ManifestBackup
from tests.support.agent_world import AgentWorld, clip, manifest_of

A = clip("a", b"a" * 1000)
RECOVERY = pyrage.x25519.Identity.generate()
BACKUP = ManifestBackup(recipient=str(RECOVERY.to_public()))


@pytest.fixture
def world(tmp_path: Path) -> AgentWorld:
    made = AgentWorld(tmp_path)
    made.central.add(b"a" * 1000)
    return made


def left(world: AgentWorld) -> list[dict[str, Any]]:
    """What the backups hold that were left."""
    return [json.loads(pyrage.decrypt(body, [RECOVERY])) for body in world.central.backups]


def save(world: AgentWorld, **changed: Any) -> None:
    """The club changes its configuration."""
    path = world.root / "data/configuration.json"
    path.write_text(json.dumps(world.configuration() | changed))


def give_back(world: AgentWorld, club: object, **changed: Any) -> None:
    """Publish that this is to be put back."""
    recipient = make_recipient(path_of(world.settings.key))
    body = pyrage.encrypt(json.dumps(club).encode(), [pyrage.x25519.Recipient.from_str(recipient)])
    world.central.publish(manifest_of([A], backup=BACKUP, **{"restore": world.central.add(body)} | changed))


def later(world: AgentWorld, agent: Agent, seconds: float = BACKUP_S) -> None:
    world.clock.sleep(seconds)
    world.settle(agent)


def test_backup_holds_the_clubs_part_and_is_left_only_when_that_changed(world: AgentWorld) -> None:
    world.central.publish(manifest_of([A], backup=BACKUP))
    with world.agent() as agent:
        world.settle(agent)
        later(world, agent)
        assert left(world) == [club_part(world.club)]
        world.central.publish(manifest_of([], backup=BACKUP, config={"liveScoreEnabled": True}))
        later(world, agent)
        assert len(world.central.backups) == 1
        save(world, auth=world.club["auth"] | {"password": "another"})
        later(world, agent)
    assert [kept["auth"]["password"] for kept in left(world)] == [world.club["auth"]["password"], "another"]
    world.converge()
    assert len(world.central.backups) == 2, "it is remembered across restarts"


def test_club_that_saves_often_leaves_a_backup_every_15_minutes(world: AgentWorld) -> None:
    world.central.publish(manifest_of([A], backup=BACKUP))
    with world.agent() as agent:
        for number in range(30):
            save(world, remote={"title": str(number)})
            later(world, agent, 60)
        later(world, agent)
    assert 2 <= len(world.central.backups) <= 4
    assert left(world)[-1]["remote"] == {"title": "29"}


@pytest.mark.parametrize("backup", [None, ManifestBackup(recipient=BACKUP.recipient, configuration=False)])
def test_box_that_is_not_asked_leaves_none(world: AgentWorld, backup: ManifestBackup | None) -> None:
    world.central.publish(manifest_of([A], backup=backup))
    world.converge()
    assert world.central.backups == []


def test_backup_that_cannot_be_left_keeps_nothing_from_converging_and_is_left_later(world: AgentWorld) -> None:
    world.central.publish(manifest_of([A], backup=BACKUP))
    with world.agent() as agent:
        world.settle(agent)
        world.central.backups.clear()
        save(world, remote={"title": "new"})
        world.central.offline = True
        later(world, agent)
        world.central.offline = False
        later(world, agent)
    assert [kept["remote"] for kept in left(world)] == [{"title": "new"}]
    assert world.conditions()["Synced"] == ("True", "Converged")


def test_what_the_club_had_is_put_back_once_and_stays_as_the_club_leaves_it_then(world: AgentWorld) -> None:
    club = club_part(world.club)
    save(world, auth={"password": "template"}, categories=[{"id": "new", "name": "New", "videos": []}], sponsors=[])
    give_back(world, club)
    with world.agent() as agent:
        world.settle(agent)
        found = world.configuration()
        assert found["auth"] == club["auth"]
        assert {"annonces", "new"} < {c["id"] for c in found["categories"]}
        assert [c for c in found["categories"] if c["id"] not in ("annonces", "new")] == club["categories"]
        assert "BackupPutBack" in [e.reason for report in world.central.reports for e in report.events]
        save(world, categories=[c for c in found["categories"] if c["id"] in ("annonces", "new")])
        later(world, agent)
    world.converge()
    assert {c["id"] for c in world.configuration()["categories"]} == {"annonces", "new"}


def test_no_backup_is_left_before_the_one_that_waits_was_put_back(world: AgentWorld) -> None:
    club = club_part(world.club)
    save(world, auth={"password": "template"}, categories=[])
    give_back(world, club)
    world.tv.match = True
    with world.agent() as agent:
        later(world, agent)
        assert world.configuration()["auth"]["password"] == "template"
        assert world.central.backups == []
        world.tv.match = False
        later(world, agent)
        later(world, agent)
    assert [kept["auth"] for kept in left(world)] == [club["auth"]]


@pytest.mark.parametrize("club", [[], "x", {"categories": 1}], ids=repr)
def test_backup_that_is_no_configuration_is_reported_and_the_rest_converges(world: AgentWorld, club: object) -> None:
    give_back(world, club)
    world.converge()
    assert world.conditions()["Degraded"] == ("True", "BackupUnreadable")
    assert (world.root / A[0].path).exists()
    assert world.configuration()["auth"] == world.club["auth"]
    world.central.publish(manifest_of([A]))
    world.converge()
    assert world.conditions()["Synced"] == ("True", "Converged")


def test_backup_for_another_box_is_reported_with_what_to_do_and_read_once_the_key_is_there(world: AgentWorld) -> None:
    give_back(world, club_part(world.club) | {"remote": {"title": "back"}})
    key = path_of(world.settings.key)
    right = key.read_text()
    key.write_text(f"{pyrage.x25519.Identity.generate()}\n")
    with world.agent() as agent:
        world.settle(agent)
        (degraded,) = [c for c in world.central.reports[-1].conditions if c.type == "Degraded"]
        assert degraded.reason == "BackupUnreadable"
        assert "neopro-agent identity" in degraded.message
        assert "AGE-SECRET" not in str(world.central.reports)
        key.write_text(right)
        later(world, agent)
    assert world.configuration()["remote"]["title"] == "back"
    assert world.conditions()["Degraded"][0] == "False"


@pytest.mark.parametrize(("mode", "text"), [(0o644, None), (0o600, "nothing\n"), (None, None)])
def test_key_that_cannot_be_used_is_said_in_a_sentence(world: AgentWorld, mode: int | None, text: str | None) -> None:
    give_back(world, {})
    key = path_of(world.settings.key)
    if mode is None:
        key.unlink()
    else:
        key.chmod(mode)
    if text is not None:
        key.write_text(text)
    world.converge()
    assert world.conditions()["Degraded"] == ("True", "BackupUnreadable")


def test_restore_without_a_network_waits_and_offline_rounds_do_not_repeat_it(world: AgentWorld) -> None:
    give_back(world, club_part(world.club) | {"remote": {"title": "back"}})
    with world.agent() as agent:
        answer = world.central.head()
        assert answer is not None
        body = world.central.blobs
        world.central.blobs = {d: b for d, b in body.items() if not b.startswith(b"age-encryption")}
        agent.loop.settle(answer.envelope)
        assert world.configuration()["remote"] == world.club["remote"]
        world.central.blobs = body
        later(world, agent, 60)
    assert world.configuration()["remote"]["title"] == "back"
