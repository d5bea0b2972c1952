"""The same tree gives the same bytes, whatever the order of its entries and whatever was compiled before."""

import random
from collections.abc import Callable

from hypothesis import given, settings
from hypothesis import strategies as st

from control_plane.core.compile import CompiledFleet, changed_sites, compile_commit
from tests.support.calendars import MATCH, calendar
from tests.support.commits import RECIPIENT, RECOVERY, SECRET, agent, operation
from tests.support.fleet_generator import as_tree, make_fleet, public_key, trust_documents

SITES = 12
MATCHES = "maintenance: {windows: [at_boot], calendars: [matches]}\n"
RESTORE = f"restore: sha256:{'ab' * 32}\n"
HOTSPOT = f"hotspot: {{ssid: A, passphrase: '{SECRET}'}}\n"
FLEET = make_fleet(SITES, 5) | {
    **{f"agents/{version}.yaml": agent(version) for version in ("1.1.0", "1.2.0")},
    "operations/restart.yaml": operation("site: club-000005"),
    "operations/logs.yaml": operation("group: rugby", "action: fetch_logs\nsince: 2h"),
    "calendars/matches.ics": calendar(MATCH),
}
CODE = st.integers(0, 2**32)
Files = dict[str, bytes]


def differs(before: CompiledFleet, after: CompiledFleet, site: str) -> bool:
    return before.sites.get(site) != after.sites.get(site)


def everything(fleet: CompiledFleet) -> object:
    """All that a compilation says."""
    sites = {
        name: (site.manifest, site.body, site.state, site.identity, site.release, site.name, site.facts)
        for name, site in fleet.sites.items()
    }
    return sites, fleet.problems, fleet.blobs, fleet.root, fleet.release_list, fleet.trust_documents, fleet.revoked


@given(st.integers(0, 10_000), CODE)
@settings(max_examples=15, deadline=None)
def test_entries_in_any_order_give_the_same(seed: int, order: int) -> None:
    entries, blobs = as_tree(make_fleet(8, seed))
    shuffled = entries.copy()
    random.Random(order).shuffle(shuffled)
    assert everything(compile_commit(entries, blobs)) == everything(compile_commit(shuffled, dict(blobs)))


def test_the_generator_gives_the_same_fleet_each_time() -> None:
    assert make_fleet(5, 9) == make_fleet(5, 9)
    assert make_fleet(5, 9) != make_fleet(5, 10)


def pick(files: Files, chance: random.Random, folder: str) -> str | None:
    paths = sorted(path for path in files if path.startswith(folder))
    return chance.choice(paths) if paths else None


def replaced(old: str, new: str) -> Callable[[bytes, random.Random], bytes]:
    return lambda data, _: data.replace(old.encode(), new.encode())


def appended(*lines: str) -> Callable[[bytes, random.Random], bytes]:
    return lambda data, chance: data + chance.choice(lines).encode()


# Edits that a team makes, and mistakes that it makes: folder and what happens to one file in it.
EDITS: list[tuple[str, Callable[[bytes, random.Random], bytes]]] = [
    ("sites/", replaced("Bretagne", "Occitanie")),
    ("sites/", replaced("offer: basic", "offer: gold")),
    ("sites/", replaced("state: active", "state: retired")),
    ("sites/", replaced("sports: [", "sports: [tennis, ")),
    ("sites/", replaced("rpi5-8gb", "rpi3")),
    ("sites/", lambda data, chance: data.split(b"identity")[0] + f"identity: {public_key('same')}\n".encode()),
    ("sites/", lambda data, chance: data.split(b"identity")[0]),
    ("sites/", lambda data, chance: data.split(b"identity")[0] + b"identity: ed25519:" + b"A" * 43 + b"=\n"),
    ("sites/", appended("video_sets: [annonces-rugy]\n")),
    ("sites/", lambda data, chance: data.split(b"config")[0]),
    ("sites/", appended("release: 2.2.0\n", "release: 2.1.3\n", "release: 9.9.9\n", "video_sets: [annonces-rugby]\n")),
    ("sites/", appended("without_video_sets: [annonces-nationales]\n", "video_sets: [nope]\n", "tenant: kalon\n")),
    (
        "sites/",
        appended("poll: {interval: 5m}\n", "connectivity: rare\n", "rollout: standard\n", "nope: 1\n", "a: [\n"),
    ),
    ("groups/", replaced("priority: 1", "priority: 2")),
    ("groups/", replaced("priority: 5", "priority: 1")),
    ("groups/", replaced("sports: ", "city: ")),
    ("groups/", replaced("select: {", "select: {country: France, ")),
    ("groups/", appended("release: 2.2.0\n", "release: 2.1.3\n", "config: {scoreOverlay: {offsetX: 1}}\n")),
    ("groups/", appended("config: {region: null, live: true}\n", "without_video_sets: [annonces-nationales]\n", "x\n")),
    (
        "groups/",
        lambda data, chance: (
            b"name: X\npriority: 500\nselect: {country: France}\nrelease: 2.%d.%d\n" % chance.choice(((1, 3), (2, 0)))
        ),
    ),
    ("groups/", lambda data, chance: b"name: X\npriority: 100\nsites: [club-000001, club-000003, club-000099]\n"),
    ("videos/", replaced("name: Annonce", "name: Spot")),
    ("videos/", lambda data, chance: data.replace(b"digest: sha256:0", b"digest: sha256:1")),
    ("video-sets/", replaced("blocks: [before, ", "blocks: [")),
    ("video-sets/", replaced("name: ANNONCES ", "name: PUB ")),
    ("video-sets/", appended("subcategory: {id: sub, name: SUB}\n")),
    ("video-sets/", replaced("  - annonce-03", "  - annonce-09")),
    ("releases/", replaced("rpi4-4gb, ", "")),
    ("releases/", replaced("settle: 30s", "settle: 31s")),
    ("releases/", replaced("size_bytes: 2", "size_bytes: 3")),
    ("fleet.yaml", replaced("offsetX: 12", "offsetX: 13")),
    ("fleet.yaml", replaced("release: 2.1.3", "release: 2.2.0")),
    ("fleet.yaml", appended("rollouts: {standard: {waves: [100%]}}\n", "tenants: {kalon: {name: K}}\n", "schema: 1\n")),
    ("sites/", appended("agent: 1.2.0\n", "agent: 1.1.0\n", RESTORE, "timezone: Indian/Reunion\n")),
    ("sites/", appended(f"recipient: {RECIPIENT}\n", "backup: {}\n", MATCHES)),
    ("groups/", appended(MATCHES, "agent: 1.2.0\n", "backup: {videos: true}\n", HOTSPOT)),
    ("fleet.yaml", appended(f"recovery: {RECOVERY}\n", f"recovery: {RECIPIENT}\n")),
    ("fleet.yaml", appended("  agent: 1.1.0\n", "  backup: {}\n")),
    ("agents/", replaced("size_bytes: 50", "size_bytes: 51")),
    ("operations/", replaced("2026", "2027")),
    ("operations/", replaced("site: club-000005", "group: rugby")),
    ("operations/", replaced("group: ", "site: ")),
    ("operations/", replaced("club-000005", "club-000004")),
    ("calendars/", replaced("T20", "T21")),
    ("calendars/", replaced("DTEND", "DTSTART")),
    ("calendars/", replaced(";TZID=Europe/Paris", "")),
]
CONTENT = ("videos/", "video-sets/", "releases/", "agents/", "operations/", "calendars/")
FOLDERS = ("sites/", "groups/", "fleet.yaml", "trust/", *CONTENT)


def edit(files: Files, chance: random.Random, original: Files) -> Files:
    """The files after one edit: something changed, deleted, copied, moved, put back, or signed anew."""
    after = dict(files)
    folder, change = chance.choice(EDITS)
    path = pick(after, chance, folder)
    match chance.randrange(16):
        case 0 if (path := pick(after, chance, chance.choice(FOLDERS))) is not None:
            del after[path]
        case 1 if path is not None and folder != "fleet.yaml":
            after[path.replace(".yaml", "-copy.yaml")] = after[path]
        case 2 if path is not None and folder != "fleet.yaml":
            after[f"{folder}below/{path.rpartition('/')[2]}"] = after.pop(path)
        case 3:
            after |= trust_documents(5, chance.choice((("2.1.3",), ("2.1.3", "2.2.0"), ("2.2.0",))))
        case 4:
            after["revoked.yaml"] = chance.choice((b"releases: [2.2.0]\n", b"releases: []\n", b"nope: 1\n"))
        case 5:
            after |= dict.fromkeys(("docs/Notes.md", "docs/notes.md")[: chance.randrange(3)], b"")
        case 9:
            # Sharded anew: the same documents in other folders.
            shards = {p: f"sites/{chance.randrange(3)}/{p.rpartition('/')[2]}" for p in after if p.startswith("sites/")}
            after = {shards.get(p, p): data for p, data in after.items()}
        case 6 | 7 | 8:
            # Back to what it was, so that errors do not pile up until nothing compiles any more.
            return dict(original)
        case _ if path is not None:
            after[path] = change(after[path], chance)
    return after


@given(CODE)
@settings(max_examples=60, deadline=None)
def test_compiling_on_top_of_what_was_there_gives_what_compiling_cold_gives(code: int) -> None:
    chance = random.Random(code)
    files = FLEET
    compiled = compile_commit(*as_tree(files))
    assert len(compiled.sites) == SITES
    first = compiled
    for _ in range(8):
        for _ in range(chance.choice((1, 1, 2, 3))):
            files = edit(files, chance, FLEET)
        tree, before = as_tree(files), compiled
        compiled = compile_commit(*tree, before)
        assert everything(compiled) == everything(compile_commit(*tree))
        for older in (before, first):
            every = older.sites.keys() | compiled.sites.keys()
            assert {name for name in every if differs(older, compiled, name)} <= changed_sites(older, compiled)


def test_only_the_site_whose_file_changed_is_compiled_anew() -> None:
    first = compile_commit(*as_tree(FLEET))
    site = "sites/club-000003.yaml"
    second = compile_commit(*as_tree(FLEET | {site: FLEET[site] + b"release: 2.2.0\n"}), first)
    assert changed_sites(first, second) == {"club-000003"}
    assert changed_sites(first, compile_commit(*as_tree(FLEET), second)) == {"club-000003"}
    without = compile_commit(*as_tree({path: data for path, data in FLEET.items() if path != site}), second)
    assert changed_sites(second, without) == {"club-000003"}
    assert changed_sites(second, compile_commit(*as_tree(FLEET))) == first.sites.keys()
