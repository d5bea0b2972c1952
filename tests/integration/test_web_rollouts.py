"""Pages of rollouts, and what other pages say of them: from the database to what a reader meets."""

import re
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from control_plane.core.rollout import Member, Rollout
from control_plane.store import library, rollouts
from control_plane.store.rollouts import Change
from control_plane.web.pages.rollouts import ENDED, PAGE_SITES
from schemas.desired import Fleet, Layer, Release, RolloutPolicy
from schemas.names import digest_of
from schemas.rollouts import Cause
from tests.integration.test_web_pages import page
from tests.support.api import Api, open_api
from tests.support.people import add_person, session_of
from tests.support.published import NOW, Box, Wanted

pytestmark = pytest.mark.anyio
MINUTE = timedelta(minutes=1)
SITES = ("brest", "lorient", "nantes", "quimper", "rennes", "vannes")
POLICY = RolloutPolicy(waves=["10%", "50%", "100%"], soak="30m", max_failures=0, on_failure="hold")
WHY = "1 of the 3 sites that have it failed; max_failures allows 0"
CAUSE = Cause(kind="failures", count=1, sites=3, allowed="0")
RESUME = "Resume-Rollout: release 2.2.0"


@pytest.fixture
async def api(tmp_path: Path, database: str) -> AsyncIterator[Api]:
    async with open_api(tmp_path, database) as opened:
        await fill(opened)
        yield opened


async def fill(api: Api) -> None:
    """Six sites, of which one is a tenant's, release 2.2.0 and the policy by which it is rolled out."""
    facts = {"vannes": {"tenant": "ligue"}}
    wanted = {
        site: Wanted(Box(site).identity, name=site.title(), release="2.1.3", facts=facts.get(site, {}))
        for site in SITES
    }
    await api.publish(wanted)
    release = Release(version="2.2.0", tree=digest_of(b"tree"), size_bytes=1)
    fleet = Fleet(schema=1, defaults=Layer(), rollouts={"standard": POLICY})
    async with api.connection() as conn:
        await library.replace(conn, {("releases", "2.2.0"): ("1", release), ("", "fleet.yaml"): ("2", fleet)}, NOW)


def member(position: int, wave: int | None = None, **fields: Any) -> Member:
    let_in = None if wave is None else NOW - (40 - 20 * wave) * MINUTE
    return Member(position=position, before="2.1.3", wave=wave, let_in_at=let_in, **fields)


MEMBERS = {
    "brest": member(0, 0, outcome="well"),
    "nantes": member(1, 1, outcome="pending", why="It has not reported since."),
    "rennes": member(2, 1, outcome="failed", why="no answer on port 3000"),
    "vannes": member(3),
    "quimper": member(4),
    "lorient": member(5),
}


def a_rollout(number: int = 1, **fields: Any) -> Rollout:
    usual = {"kind": "release", "version": "2.2.0", "policy": "standard", "revision": "ab" * 20, "members": MEMBERS}
    times = {"started_at": NOW - 40 * MINUTE, "wave_at": NOW - 20 * MINUTE, "wave": 1}
    return Rollout(number=number, **{**usual, **times, **fields})


HALTED = a_rollout(phase="halted", cause=CAUSE)


async def keep(api: Api, *found: Rollout) -> None:
    async with api.connection() as conn, conn.transaction():
        await rollouts.write(conn, [Change(None, one) for one in found])


async def test_open_rollouts_are_told_with_what_needs_a_person_first(api: Api) -> None:
    await keep(api, a_rollout(1, version="2.3.0"), a_rollout(2, phase="halted", cause=CAUSE))
    shown = await page(api, "/rollouts")
    text = shown.text
    assert re.search(r"Under way or halted Halted Release 2\.2\.0 .*Rolling Release 2\.3\.0", text)
    assert re.search(
        r"Release 2\.2\.0 Policy standard · began 40 min ago Wave 2 of 3 3 of 6 sites have it .*"
        r"1 runs it well 1 failed 1 no word yet 3 wait " + re.escape(WHY),
        text,
    )
    assert f"has the line: {RESUME}" in re.sub(r"\s+:", ":", text)
    assert "Fix forward" in text and "Revert the commit" in text
    assert {"/rollouts/1", "/rollouts/2"} <= set(shown.links)
    assert {"open", "ended"} <= set(shown.regions), "both follow by themselves"
    french = (await page(api, "/rollouts?lang=fr")).text
    assert re.search(r"Arrêté Version 2\.2\.0 .*Vague 2 sur 3 3 sites sur 6 l’ont", french)
    assert RESUME in french


async def test_without_rollouts_the_page_says_so(api: Api) -> None:
    text = (await page(api, "/rollouts")).text
    assert "No rollout is under way." in text and "None has ended yet." in text


async def test_ended_ones_say_how_and_the_newest_comes_first(api: Api) -> None:
    over = "no site resolves to it any more"
    await keep(
        api,
        *(a_rollout(n, version=f"1.{n}.0", phase="done", ended_at=NOW - n * MINUTE) for n in range(1, ENDED + 1)),
        a_rollout(90, phase="superseded", ended_at=NOW, cause=Cause(kind="nobody")),
    )
    shown = await page(api, "/rollouts")
    assert re.search(rf"Ended last .*Release 2\.2\.0 standard Superseded {over} 6 .*Release 1\.1\.0", shown.text)
    assert f"/rollouts/{ENDED - 1}" in shown.links and f"/rollouts/{ENDED}" not in shown.links
    assert (await page(api, "/rollouts/90")).text.count(over) == 1


async def test_rollout_shows_its_waves_and_its_failed_sites_first(api: Api) -> None:
    await keep(api, HALTED)
    shown = await page(api, "/rollouts/1")
    text = shown.text
    assert "Release 2.2.0 · rollout 1" in text
    assert re.search(
        r"What Release 2\.2\.0 Policy standard waves 10%, 50%, 100%; 30 min each; 95% well, of at least 80%; "
        r"overdue after 24 h · more than 0 failures halt it Begun by abababab",
        text,
    )
    assert re.search(
        r"Wave 1 10% 1 1 0 0 1 Mar 2026, 11:20 UTC "
        r"Wave 2 50% 2 0 1 1 1 Mar 2026, 11:40 UTC Wave 3 100% 3 — — — to come",
        text,
    )
    assert re.search(
        r"failures first .*Rennes 3 2 failed no answer on port 3000 1 Mar 2026, 11:40 UTC 2\.1\.3 "
        r"Nantes 2 2 no word yet It has not reported since\. .*Brest 1 1 runs it well .*"
        r"Vannes 4 3 waits — 2\.1\.3 Quimper 5 3 waits — 2\.1\.3 Lorient 6 3 waits",
        text,
    )
    assert {"/releases/2.2.0", "/changes/abababababab", "/sites/rennes", "/rollouts"} <= set(shown.links)
    assert text.count(RESUME) == 1


async def test_long_table_of_sites_has_pages(api: Api) -> None:
    many = {f"site-{number:03}": member(number) for number in range(PAGE_SITES * 2 + 1)}
    many["site-200"] = member(200, 0, outcome="failed")
    await keep(api, a_rollout(members=many))
    first, last = await page(api, "/rollouts/1"), await page(api, "/rollouts/1?page=3")
    assert "/rollouts/1?page=2" in first.links and "Page 1 of 3" in first.text
    assert "/sites/site-200" in first.links and "/sites/site-199" not in first.links
    assert "/sites/site-199" in last.links and "/rollouts/1?page=4" not in last.links
    for wrong in ("?page=99999", "?page=0", "?page=x", "?page=-1", "?page=" + "9" * 40):
        assert (await api.http.get(f"/rollouts/1{wrong}")).status_code == 200


WRONG = ["2", "0", "-1", "x", "01", "1e3", "9" * 30, "%00", "²"]


@pytest.mark.parametrize("number", WRONG)
async def test_number_that_no_rollout_has_is_not_found(api: Api, number: str) -> None:
    await keep(api, HALTED)
    assert (await api.http.get(f"/rollouts/{number}")).status_code == 404


async def test_rolled_back_one_says_that_all_go_back_and_which_failed(api: Api) -> None:
    home = {site: member(one.position, outcome=one.outcome, why=one.why) for site, one in MEMBERS.items()}
    await keep(api, a_rollout(phase="rolled_back", cause=CAUSE, members=home))
    text = (await page(api, "/rollouts/1")).text
    assert re.search(r"Rolled back Release 2\.2\.0 .*Wave 2 of 3 0 of 6 sites have it .*All go back", text)
    assert re.search(r"Rennes 3 2 failed, goes back no answer on port 3000 — 2\.1\.3 .*Brest 1 1 keeps what it", text)
    assert "Begin anew with the first wave" in text


async def test_superseded_one_says_who_never_got_it(api: Api) -> None:
    await keep(api, a_rollout(phase="superseded", ended_at=NOW, cause=Cause(kind="nobody")))
    text = (await page(api, "/rollouts/1")).text
    assert re.search(r"Wave 3 100% 3 — — — never went .*Vannes 4 3 did not get it", text)
    assert "waits" not in text and "to come" not in text


async def test_policy_that_left_git_is_no_fault_of_the_page(api: Api) -> None:
    await keep(api, a_rollout(phase="done", ended_at=NOW, policy="gone"))
    assert "gone no longer in fleet.yaml" in (await page(api, "/rollouts/1")).text
    assert (await page(api, "/rollouts")).text.count("gone") == 1


async def test_overview_has_a_line_of_what_is_open_and_none_where_nothing_is(api: Api) -> None:
    shown = await page(api, "/")
    assert "All rollouts" not in shown.text
    assert "rollouts" in shown.regions, "one that begins appears by itself"
    await keep(api, HALTED, *(a_rollout(number, version=f"3.{number}.0") for number in range(2, 8)))
    shown = await page(api, "/")
    assert re.search(
        r"Rollouts All rollouts Halted Release 2\.2\.0 standard Wave 2 of 3 · 3 of 6 sites have it · "
        + re.escape(WHY)
        + r" began 40 min ago Rolling Release 3\.2\.0 .*and 2 more rollouts",
        shown.text,
    )
    assert {"/rollouts", "/rollouts/1"} <= set(shown.links) and "/rollouts/6" not in shown.links


async def test_release_page_leads_to_its_open_rollout(api: Api) -> None:
    assert "/rollouts/1" not in (await page(api, "/releases/2.2.0")).links
    await keep(api, HALTED, a_rollout(2, kind="agent"))
    shown = await page(api, "/releases/2.2.0")
    assert "Rollout Halted · Wave 2 of 3 · 3 of 6 sites have it Release 2.2.0 · standard" in shown.text
    assert "/rollouts/1" in shown.links and "/rollouts/2" not in shown.links, "an agent of that number is another thing"


async def test_commit_leads_to_the_rollouts_that_it_began(api: Api) -> None:
    published = await api.publish({"dinan": Wanted(None)}, subject="Release 2.2.0 for all, in waves")
    path = f"/changes/{published.revision}"
    assert "/rollouts/1" not in (await page(api, path)).links
    ended = a_rollout(2, phase="done", ended_at=NOW, version="2.1.9", revision=published.revision)
    await keep(api, a_rollout(1, revision=published.revision), ended, a_rollout(3, version="9.9.9"))
    shown = await page(api, path)
    assert re.search(r"Rollout Rolling · Wave 2 of 3 · .* Rollout Done · Wave 2 of 3 · .*2\.1\.9", shown.text)
    assert {"/rollouts/1", "/rollouts/2"} <= set(shown.links) and "/rollouts/3" not in shown.links


BESIDE: dict[str, tuple[Rollout, str, str]] = {
    "waits": (a_rollout(), "vannes", "Release 2.1.3 2.2.0 comes with wave 3 of 3 of rollout 1"),
    "has": (a_rollout(), "nantes", "Release 2.1.3 2.2.0 since 1 Mar 2026, 11:40 UTC, with wave 2 of 3 of rollout 1"),
    "halted": (HALTED, "vannes", "2.2.0 was to come with wave 3 of 3 of rollout 1, which has halted"),
    "agent": (a_rollout(kind="agent"), "vannes", "Agent not managed 2.2.0 comes with wave 3 of 3 of rollout 1"),
}


@pytest.mark.parametrize("case", BESIDE)
async def test_site_says_beside_its_release_what_comes(api: Api, case: str) -> None:
    kept, site, said = BESIDE[case]
    assert "rollout" not in (await page(api, f"/sites/{site}")).text
    await keep(api, kept)
    shown = await page(api, f"/sites/{site}")
    assert said in shown.text
    assert "/rollouts/1" in shown.links
    await keep(api, a_rollout(phase="done", ended_at=NOW, kind=kept.kind))
    assert "rollout" not in (await page(api, f"/sites/{site}")).text, "what is over is no news"


async def test_tenant_is_told_of_its_own_site_alone(api: Api) -> None:
    await keep(api, HALTED)
    person = await add_person(api, "anne", "viewer", "ligue")
    session = await session_of(api, person)

    async def read(path: str) -> tuple[int, str]:
        answer = await api.http.get(path, headers=session | {"Accept": "text/html"})
        return answer.status_code, answer.text

    status, text = await read("/sites/vannes")
    assert status == 200 and "2.2.0 is held back for now" in text
    for path in ("/", "/sites/vannes"):
        text = (await read(path))[1]
        assert "/rollouts" not in text and "rollout 1" not in text and "Rennes" not in text
    assert [(await read(path))[0] for path in ("/rollouts", "/rollouts/1", "/sites/rennes")] == [403, 403, 404]


async def test_first_page_reads_no_member(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten thousand are counted by the database."""

    def never(*_: Any) -> Callable[..., Any]:
        raise AssertionError("a member was read")

    await keep(api, HALTED)
    monkeypatch.setattr(rollouts, "_member", never)
    for path in ("/", "/rollouts", "/releases/2.2.0", "/changes"):
        assert (await api.http.get(path)).status_code == 200
    with pytest.raises(AssertionError, match="a member was read"):
        async with api.connection() as conn:
            await rollouts.opened(conn)
