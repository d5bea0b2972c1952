"""What a box receives."""

import hashlib

import msgspec
import pytest

from control_plane.core.compile import compile_commit
from control_plane.core.identities import BUCKETS, NO_IDENTITIES, ROUNDS, all_squares, take_identities
from schemas.desired import Location, Site
from schemas.dsse import FIELD, Refused, is_square, load_public
from schemas.manifest import SiteManifest, encode_canonical
from tests.support.commits import FLEET, NATIONAL, NOEL, changed, compiled, release, site, small_fleet
from tests.support.fleet_generator import as_tree, make_fleet, public_key, tree_of

NO_POINT = "ed25519:AgAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
NOEL_PATH = "videos/NATIONAL/noel-abababab.mp4"


def manifest(files: dict[str, bytes], name: str) -> SiteManifest:
    compiled_site = compiled(files).sites[name]
    assert compiled_site.manifest == "sha256:" + hashlib.sha256(compiled_site.body).hexdigest()
    return msgspec.json.decode(compiled_site.body, type=SiteManifest)


def test_a_manifest_holds_what_the_layers_come_to() -> None:
    found = manifest(small_fleet(), "vannes")
    entry = {
        "name": "Noël",
        "path": NOEL_PATH,
        "video_id": "noel",
        "sponsor_id": "decathlon",
    }
    assert msgspec.to_builtins(found) == {
        "schema": 1,
        "poll_interval_s": 60,
        "timezone": "Europe/Paris",
        "release": {
            "version": "2.2.0",
            "tree": tree_of("2.2.0"),
            "size_bytes": 100,
            "services": ["neopro-app", "neopro-admin", "neopro-kiosk"],
            "health": {"within_s": 120, "settle_s": 30},
        },
        "content": [{"path": NOEL_PATH, "digest": "sha256:" + "ab" * 32, "size_bytes": 10}],
        "categories": [{"id": "national", "name": "NATIONAL", "blocks": ["before", "after"], "videos": [entry]}],
        "loops": {"sponsors": [entry]},
    }


def test_every_body_is_the_canonical_encoding_of_a_manifest() -> None:
    fleet = compile_commit(*as_tree(make_fleet(200, 3)))
    assert len(fleet.sites) == 200
    for compiled_site in fleet.sites.values():
        body = compiled_site.body
        assert encode_canonical(msgspec.json.decode(body, type=SiteManifest)) == body
        assert compiled_site.manifest == "sha256:" + hashlib.sha256(body).hexdigest()


def test_sites_that_want_the_same_share_one_manifest() -> None:
    files = changed(small_fleet(), {"sites/vannes.yaml": site("vannes")})
    sites = compiled(files).sites
    assert sites["rennes"].manifest == sites["vannes"].manifest
    assert b"rennes" not in sites["rennes"].body


@pytest.mark.parametrize(
    ("extra", "expected"),
    [
        ("poll: {interval: 2m}\n", {"poll_interval_s": 120}),
        ("timezone: Indian/Reunion\n", {"timezone": "Indian/Reunion"}),
        ("config: {b: 1, a: [é]}\n", {"config": {"a": ["é"], "b": 1}}),
        (
            'maintenance:\n  windows: [{days: [weekend, mon], from: "03:00", to: "05:00"}, at_boot, {idle: 30m}]\n'
            "  max_deferral: 14d\n",
            {
                "maintenance": {
                    "windows": [
                        {"kind": "weekly", "days": ["mon", "sat", "sun"], "from": "03:00", "to": "05:00"},
                        {"kind": "at_boot"},
                        {"kind": "idle", "idle_s": 1800},
                    ],
                    "max_deferral_s": 1_209_600,
                }
            },
        ),
        (
            'bandwidth: {limit: 2MB/s, hours: "08:00-22:00"}\n',
            {"bandwidth": {"limit_bytes_s": 2_000_000, "hours": "08:00-22:00"}},
        ),
    ],
)
def test_a_layer_s_own_words_become_what_the_box_reads(extra: str, expected: dict[str, object]) -> None:
    files = changed(small_fleet(), {"sites/rennes.yaml": site("rennes", extra)})
    found = msgspec.to_builtins(manifest(files, "rennes"))
    assert {key: found[key] for key in expected} == expected


def video_set(name: str, sub: str = "", loop: str = "", videos: str = "noel", blocks: str = "") -> bytes:
    subcategory = f"subcategory: {{id: {sub}, name: {sub.upper()}}}\n" if sub else ""
    return (
        f"name: {name}\ncategory: {{id: Nos_annonces-1, name: Nos annonces}}\n{subcategory}"
        + (f"loop: {loop}\n" if loop else "")
        + f"blocks: [{blocks}]\nvideos: [{videos}]\n"
    ).encode()


def test_sets_of_one_category_come_together_in_it() -> None:
    files = changed(
        small_fleet(),
        {
            "videos/soldes.yaml": NOEL.replace(b"ab" * 32, b"cd" * 32),
            "video-sets/a.yaml": video_set("A", blocks="after"),
            "video-sets/b.yaml": video_set("B", videos="soldes, noel", blocks="before", loop="after"),
            "video-sets/c.yaml": video_set("C", sub="partenaires"),
            "fleet.yaml": FLEET.replace(b"national", b"c, b, a"),
        },
    )
    found = manifest(files, "rennes")
    (category,) = found.categories
    assert (category.id, category.name, category.blocks) == ("Nos_annonces-1", "Nos annonces", ["before", "after"])
    assert [video.path for video in category.videos] == [
        "videos/NOS_ANNONCES-1/soldes-cdcdcdcd.mp4",
        "videos/NOS_ANNONCES-1/noel-abababab.mp4",
    ]
    (sub,) = category.subcategories
    assert [video.path for video in sub.videos] == ["videos/NOS_ANNONCES-1/PARTENAIRES/noel-abababab.mp4"]
    assert [file.path for file in found.content] == sorted(file.path for file in found.content)
    assert len(found.content) == 3
    assert [video.video_id for video in found.loops.after] == ["soldes", "noel"]


def test_a_campaign_keeps_its_days_and_its_file_is_there_once() -> None:
    items = b"videos:\n  - {video: noel, until: 2026-01-31}\n  - {video: noel, from: 2026-12-01}\n"
    files = changed(small_fleet(), {"video-sets/national.yaml": NATIONAL.replace(b"videos: [noel]\n", items)})
    found = manifest(files, "rennes")
    assert [(str(v.from_), str(v.until)) for v in found.categories[0].videos] == [
        ("None", "2026-01-31"),
        ("2026-12-01", "None"),
    ]
    assert len(found.content) == 1


def test_another_version_of_a_video_gets_another_name_on_the_box() -> None:
    files = changed(small_fleet(), {"videos/noel.yaml": NOEL.replace(b"ab" * 32, b"cd" * 32)})
    assert manifest(files, "rennes").content[0].path == "videos/NATIONAL/noel-cdcdcdcd.mp4"


def test_a_site_without_anything_manages_nothing() -> None:
    files = changed(
        small_fleet(),
        {"fleet.yaml": b"schema: 1\n", "groups/all.yaml": b"name: A\nselect: {country: France}\npriority: 1\n"},
    )
    assert compiled(files).sites["rennes"].body == b'{"schema":1,"poll_interval_s":60,"timezone":"Europe/Paris"}'


def test_the_fleet_names_every_blob_that_a_manifest_does() -> None:
    files = changed(
        small_fleet(), {"releases/2.3.0.yaml": release("2.3.0"), "videos/x.yaml": NOEL.replace(b"ab", b"ef")}
    )
    assert compiled(files).blobs == {"sha256:" + "ab" * 32, tree_of("2.1.3"), tree_of("2.2.0")}


def test_facts_and_state_are_the_site_s() -> None:
    files = changed(small_fleet(), {"sites/vannes.yaml": site("vannes", "state: suspended\nclub: V\n", sports="rugby")})
    found = compiled(files).sites["vannes"]
    assert (found.state, found.release, found.identity) == ("suspended", "2.2.0", public_key("vannes"))
    assert found.facts == {
        "club": "V",
        "city": "Rennes",
        "region": "Bretagne",
        "country": "France",
        "sports": ["rugby"],
        "groups": ["rugby"],
        "video_sets": ["national"],
        "timezone": "Europe/Paris",
    }


def some_squares(count: int) -> list[int]:
    return [pow(number, 2, FIELD) for number in range(2, count + 2)]


@pytest.mark.parametrize("wrong", [1, 2, 3, 50])
def test_numbers_that_are_no_squares_are_noticed_among_many(wrong: int) -> None:
    squares = some_squares(1000)
    assert all_squares(squares)
    # 2 is no square modulo 2^255 - 19.
    assert not is_square(2)
    assert not all_squares([*squares, *(2 * square % FIELD for square in squares[:wrong])])


def test_keys_that_are_no_points_are_named_among_many() -> None:
    lines = {f"sites/{n}.yaml": public_key(str(n)) for n in range(ROUNDS * BUCKETS + 10)}
    lines["sites/7.yaml"] = NO_POINT
    sites = {
        path: Site(name="X", location=Location(city="A", region="B"), identity=line) for path, line in lines.items()
    }
    assert take_identities(NO_IDENTITIES, {}, sites).unsound == {"sites/7.yaml": "the key is not a point of the curve"}


def test_a_key_that_is_no_point_is_refused_by_itself() -> None:
    with pytest.raises(Refused, match="not a point of the curve"):
        load_public(NO_POINT)
