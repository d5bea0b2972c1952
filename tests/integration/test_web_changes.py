"""Changes and trust on the pages: who signed, what the plan said, who may sign what and until when."""

import re
from datetime import timedelta

import pytest

from control_plane.store import publications
from control_plane.store.publications import CommitLook, TrustRow
from schemas.api import ChangeImpact, CommitSignature
from tests.integration.test_web_pages import page
from tests.support.api import Api
from tests.support.published import NOW, Box, Wanted, report
from tests.support.trust_keys import ShiftedClock, TrustKeys

pytestmark = pytest.mark.anyio
KEY = "SHA256:abcdefghijklmnopqrstuvwxyz"
SIGNER = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ ada@desk"


async def look(api: Api, signature: CommitSignature | None, digit: str) -> None:
    """Have a commit looked at, and held by a guard."""
    impact = ChangeImpact(sites=3, removals=2, total=4, download_bytes=5_000_000, sites_allowed=1)
    commit = CommitLook(
        revision=digit * 40,
        author="Ada",
        subject=f"Commit {digit}",
        committed_at=api.now,
        impact=impact,
        signature=signature,
    )
    async with api.connection() as conn:
        await publications.refuse(conn, await publications.current(conn), commit, [], now=api.now, verdict="held")


SIGNED = [
    (CommitSignature(state="verified", required=True, key=KEY, signer="ada@desk"), "signed by ada@desk", "good"),
    (CommitSignature(state="other", required=True, key=KEY), "signed by an unknown key, SHA256:abcdefghijk", "bad"),
    (CommitSignature(state="other", key=KEY), "signed by an unknown key, SHA256:abcdefghijk", "quiet"),
    (CommitSignature(state="none"), "not signed", "quiet"),
    (CommitSignature(state="none", required=True), "not signed", "bad"),
    (CommitSignature(state="bad", key=KEY), "the signature does not hold", "bad"),
    (CommitSignature(state="unread"), "signed in a way that is not checked", "quiet"),
]


@pytest.mark.parametrize(("signature", "words", "tone"), SIGNED)
async def test_commit_says_who_signed_it_and_whether_that_was_asked_for(
    api: Api, signature: CommitSignature, words: str, tone: str
) -> None:
    await look(api, signature, "f")
    html = (await api.http.get("/changes")).text
    assert f'<span class="tone-{tone}">{words}</span>' in html
    text = (await page(api, "/changes/fffffff")).text
    asked = "The trust root asks for it" if signature.required else "The trust root asks for none"
    assert f"Signature {words} {asked}" in text
    assert (KEY in text) == bool(signature.key)


async def test_commit_of_an_older_server_says_nothing_of_its_signature(api: Api) -> None:
    await look(api, None, "e")
    assert "Signature" not in (await page(api, "/changes/eeeeeee")).text
    assert "signed" not in (await page(api, "/changes")).text


async def test_change_says_what_the_plan_counted(api: Api) -> None:
    await look(api, None, "f")
    text = (await page(api, "/changes/fffffff")).text.replace("\u202f", " ")
    assert "The plan said 3 of 4 sites 5.0 MB to fetch · 2 taken away · 1 were allowed" in text


async def test_large_change_names_those_who_came_last_and_those_who_are_missing(api: Api) -> None:
    boxes = {f"site-{number:03}": Box(f"site-{number:03}") for number in range(420)}
    await api.publish({site: Wanted(box.identity) for site, box in boxes.items()}, subject="Much")
    generation = int(NOW.timestamp() * 1000)
    for number in range(60):
        await api.report(f"site-{number:03}", report(generation), at=NOW + timedelta(minutes=number))
    shown = await page(api, "/changes")
    [link] = [link for link in shown.links if link.startswith("/changes/")]
    one = await page(api, link)
    missing, there = one.text.partition("Who is there")[::2]
    assert len(re.findall(r"Site-\d{3}", missing)) == 300 and "and 60 more" in missing
    assert re.search(r"Site-059 1 Mar 2026, 12:59 UTC 59 min .*Site-010 .*and 10 more", there)


async def test_system_names_every_key_what_it_may_sign_and_until_when(api: Api) -> None:
    keys = TrustKeys(ShiftedClock())
    keys.commit_signers = [SIGNER]
    files = {**keys.next_root(), **keys.next_list()}
    rows = [
        TrustRow("root" if "root-" in path else "release-list", 1, (text or "").encode())
        for path, text in files.items()
    ]
    await api.publish({"brest": Wanted(Box("brest").identity)}, trust=rows)
    text = (await page(api, "/system")).text
    assert re.search(r"Trust root, and the keys that it names \d+ \w+ \d{4}, \d\d:\d\d UTC", text)
    assert re.search(r"[0-9a-f]{24} what boxes are told \d+ \w+ \d{4}", text)
    assert re.search(r"ada@desk ssh-ed25519 commits \d+ \w+ \d{4}", text)
    assert "Commit signers 1 key" in text
    api.now += timedelta(days=5000)
    assert re.search(r"Release list \d+ \w+ \d{4}, \d\d:\d\d UTC expired", (await page(api, "/system")).text)
