"""What a document says against itself, beyond the form of its values."""

import base64

import pytest

from tests.support.commits import (
    FLEET,
    RECIPIENT,
    RECOVERY,
    SECRET,
    agent,
    changed,
    compiled,
    operation,
    problems,
    site,
    small_fleet,
)

SITE = "sites/rennes.yaml"


def of_fleet(text: str) -> list[str]:
    """Problems of fleet.yaml with these lines added."""
    found = problems(changed(small_fleet(), {"fleet.yaml": FLEET + text.encode()}))
    return [problem.removeprefix("fleet.yaml:") for problem in found]


def of_site(text: str, **files: bytes) -> list[str]:
    """Problems of a site with these lines added."""
    named = {path.replace("__", "/") + ".yaml": data for path, data in files.items()}
    found = problems(changed(small_fleet(), {SITE: site("rennes", text), **named}))
    return [problem.removeprefix(f"{SITE}:") for problem in found]


def policy(text: str) -> list[str]:
    return of_fleet(f"rollouts: {{standard: {{{text}}}}}\n")


@pytest.mark.parametrize("waves", ["[100%]", "[10%, 100%]", "[1%, 2%, 99%, 100%]"])
def test_waves_that_rise_to_all_sites_are_taken(waves: str) -> None:
    assert policy(f"waves: {waves}") == []


@pytest.mark.parametrize("waves", ["[50%]", "[100%, 50%]", "[10%, 10%, 100%]", "[0%, 100%]", "[10%, 100%, 100%]", "[]"])
def test_waves_that_do_not_rise_to_all_sites_are_refused(waves: str) -> None:
    assert policy(f"waves: {waves}") == ["5:30 error BadValue"]


@pytest.mark.parametrize("key", ["success", "quorum"])
@pytest.mark.parametrize(("share", "fine"), [("0%", False), ("1%", True), ("100%", True), ("101%", False)])
def test_share_under_which_nothing_can_fail_is_refused(key: str, share: str, fine: bool) -> None:
    assert (policy(f"waves: [100%], {key}: {share}") == []) is fine


@pytest.mark.parametrize(
    ("times", "fine"),
    [
        ("soak: 30m, deadline: 24h", True),
        ("soak: 24h, deadline: 24h", False),
        ("soak: 2d", False),
        ("deadline: 30m", False),
        ("deadline: 31m", True),
    ],
)
def test_wave_must_be_able_to_end_in_time(times: str, fine: bool) -> None:
    assert [problem.split()[-1] for problem in policy(f"waves: [100%], {times}")] == ([] if fine else ["Contradiction"])


@pytest.mark.parametrize(
    ("alerts", "codes"),
    [
        ("offline: {critical: 1h}", []),
        ("offline: {warning: 30m, critical: 1h}", []),
        ("offline: {warning: 60m, critical: 1h}", ["Contradiction"]),
        ("offline: {warning: 2h, critical: 90m}", ["Contradiction"]),
        ("offline: {}", ["BadValue"]),
        ("temperature: {warning: 70, critical: 80}", []),
        ("temperature: {warning: 80, critical: 70}", ["Contradiction"]),
        ("temperature: {warning: 0}", []),
        ("disk: {warning: 9%, critical: 85%}", []),
        ("disk: {warning: 95%, critical: 85%}", ["Contradiction"]),
        ("disk: {warning: 95%, critical: 95%}, release_behind: {}", ["Contradiction", "BadValue"]),
        ("release_behind: {warning: 2}", []),
        ("silence: [offline], until: 2026-12-24", []),
        ("silence: all, until: 2026-12-24", []),
        ("silence: all", ["BadValue"]),
        ("until: 2026-12-24", ["BadValue"]),
        ("silence: [weather], until: 2026-12-24", ["BadValue"]),
    ],
)
def test_thresholds_are_such_that_somebody_is_warned(alerts: str, codes: list[str]) -> None:
    assert [problem.split()[-1] for problem in of_fleet(f"alerts: {{{alerts}}}\n")] == codes


PARAMETERS = {"service": "service: neopro-app", "since": "since: 2h"}
TAKES = {"reboot": "", "restart_service": "service", "fetch_logs": "service since", "self_test": "", "retry": ""}


@pytest.mark.parametrize("given", [(), ("service",), ("since",), ("service", "since")])
@pytest.mark.parametrize("action", TAKES)
def test_operation_takes_the_parameters_of_its_action(action: str, given: tuple[str, ...]) -> None:
    lines = "\n".join([f"action: {action}", *(PARAMETERS[name] for name in given)])
    found = problems(changed(small_fleet(), {"operations/x.yaml": operation("site: rennes", lines)}))
    extra = [f"{3 + n}:1 error Contradiction" for n, name in enumerate(given) if name not in TAKES[action]]
    missing = ["2:9 error MissingKey"] if action == "restart_service" and "service" not in given else []
    assert found == [f"operations/x.yaml:{problem}" for problem in [*missing, *extra]]


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("site: rennes", []),
        ("group: rugby", []),
        ("site: rennes, group: rugby", ["1:9 error BadValue"]),
        ("", ["1:9 error BadValue"]),
        ("site: renes", ["1:16 error MissingReference"]),
        ("group: rugbi", ["1:17 error MissingReference"]),
    ],
)
def test_operation_has_one_target_that_exists(target: str, expected: list[str]) -> None:
    found = problems(changed(small_fleet(), {"operations/x.yaml": operation(target)}))
    assert found == [f"operations/x.yaml:{p}" for p in expected]


@pytest.mark.parametrize("state", ["suspended", "retired"])
def test_operation_for_a_site_that_does_nothing_is_warned_of(state: str) -> None:
    files = {SITE: site("rennes", f"state: {state}\n"), "operations/x.yaml": operation("site: rennes")}
    assert "operations/x.yaml:1:16 warning TargetNotActive" in problems(changed(small_fleet(), files))


def test_operation_that_has_expired_is_no_reason_to_refuse() -> None:
    files = {"operations/x.yaml": operation("site: rennes", until="1999-01-01T00:00:00Z")}
    assert not compiled(changed(small_fleet(), files)).has_errors


HOTSPOT = f"hotspot: {{ssid: Club, passphrase: '{SECRET}'}}\n"


def test_hotspot_needs_the_key_of_its_site() -> None:
    assert of_site(HOTSPOT) == ["1:1 error RecipientMissing"]
    assert of_site(HOTSPOT + f"recipient: {RECIPIENT}\n") == []


def test_hotspot_of_a_layer_names_each_site_without_a_key() -> None:
    files = {"fleet.yaml": FLEET + b"  " + HOTSPOT.encode(), SITE: site("rennes", f"recipient: {RECIPIENT}\n")}
    found = problems(changed(small_fleet(), files))
    assert found == ["sites/vannes.yaml:1:1 error RecipientMissing"]


@pytest.mark.parametrize(("change", "fine"), [("state: retired\n", True), ("state: suspended\n", False), ("", True)])
def test_hotspot_asks_no_key_of_a_box_that_is_not_there_yet_or_no_more(change: str, fine: bool) -> None:
    planned = b"name: R\nlocation: {city: Rennes, region: Bretagne}\n" + HOTSPOT.encode()
    found = problems(changed(small_fleet(), {SITE: site("rennes", change + HOTSPOT) if change else planned}))
    expected = [] if fine else [f"{SITE}:1:1 error RecipientMissing"]
    assert found == expected


HOURS = 'from: "03:00", to: "05:00"'


@pytest.mark.parametrize(
    ("maintenance", "codes"),
    [
        ("{windows: [at_boot]}", []),
        ("{windows: [{idle: 30m}]}", []),
        (f"{{windows: [{{{HOURS}}}]}}", []),
        (f"{{windows: [{{days: [sat], {HOURS}}}]}}", []),
        # the hour that daylight saving skips is there on every other day
        ('{windows: [{days: sun, from: "02:00", to: "03:00"}]}', []),
        ('{windows: [{from: "23:00", to: "01:00"}]}', []),
        ("{windows: [], max_deferral: 14d}", []),
        ("{max_deferral: 14d}", []),
        ("{calendars: [matches], windows: [at_boot]}", []),
        ("{windows: []}", ["WindowNeverOpens"]),
        ("{}", ["WindowNeverOpens"]),
        ("{calendars: [matches]}", ["WindowNeverOpens"]),
        ("{bind_visible: true}", ["WindowNeverOpens"]),
        (f"{{windows: [{{days: [], {HOURS}}}]}}", ["WindowNeverOpens"]),
        ("{windows: [{days: sat}]}", ["WindowNeverOpens"]),
        ('{windows: [{from: "03:00"}]}', ["WindowNeverOpens"]),
        ('{windows: [{from: "03:00", to: "03:00"}]}', ["WindowNeverOpens"]),
        (f"{{windows: [{{idle: 30m, {HOURS}}}]}}", ["WindowNeverOpens"]),
        ("{windows: [{}, at_boot]}", ["WindowNeverOpens"]),
        ('{windows: [{from: "24:00", to: "03:00"}]}', ["BadValue"]),
    ],
)
def test_window_that_never_opens_is_refused(maintenance: str, codes: list[str]) -> None:
    calendar = {"calendars/matches.ics": b"BEGIN:VCALENDAR\r\nEND:VCALENDAR\r\n"}
    found = problems(changed(small_fleet(), {SITE: site("rennes", f"maintenance: {maintenance}\n"), **calendar}))
    assert [problem.split()[-1] for problem in found] == codes


@pytest.mark.parametrize("plain", ["hunter2", "12345678", "[hunter2]", "{a: hunter2}", "age:hunter2!", "true", "''"])
def test_secret_in_plain_text_is_refused_and_never_repeated(plain: str) -> None:
    fleet = compiled(changed(small_fleet(), {SITE: site("rennes", f"hotspot: {{ssid: Club, passphrase: {plain}}}\n")}))
    assert [problem.code for problem in fleet.problems] == ["SecretInPlainText"]
    assert "neopro secret encrypt" in fleet.problems[0].message
    assert plain.strip("[]{}'") not in fleet.problems[0].message or plain in ("true", "''")


@pytest.mark.parametrize("data", [b"", b"secret", b"age-encryption.org/v2\n"])
def test_secret_that_age_did_not_make_is_refused(data: bytes) -> None:
    secret = "age:" + base64.b64encode(data or b"\0").decode()
    text = f"hotspot: {{ssid: Club, passphrase: '{secret}'}}\nrecipient: {RECIPIENT}\n"
    assert of_site(text) == ["5:35 error BadValue"]


@pytest.mark.parametrize(("ssid", "fine"), [("é" * 16, True), ("é" * 17, False), ("x" * 32, True), ("x" * 33, False)])
def test_name_of_a_wifi_is_measured_in_bytes(ssid: str, fine: bool) -> None:
    text = HOTSPOT.replace("Club", ssid) + f"recipient: {RECIPIENT}\n"
    assert of_site(text) == ([] if fine else ["5:17 error BadValue"])


def test_two_sites_with_one_recipient_are_refused() -> None:
    line = f"recipient: {RECIPIENT}\n"
    assert of_site(line, sites__vannes=site("vannes", line, sports="rugby")) == [
        "sites/vannes.yaml:5:12 error DuplicateRecipient"
    ]


@pytest.mark.parametrize("at", [6, 30, 61])
def test_slip_in_a_recipient_is_noticed(at: int) -> None:
    wrong = RECIPIENT[:at] + ("q" if RECIPIENT[at] != "q" else "p") + RECIPIENT[at + 1 :]
    assert of_site(f"recipient: {wrong}\n") == ["5:12 error BadValue"]
    assert of_fleet(f"recovery: {wrong}\n") == ["5:11 error BadValue"]


@pytest.mark.parametrize("layer", ["fleet.yaml", "groups/rugby.yaml", SITE])
def test_backup_needs_a_recovery_key(layer: str) -> None:
    files = small_fleet()
    indent = "  " if layer == "fleet.yaml" else ""
    files |= {layer: files[layer] + f"{indent}backup: {{videos: true}}\n".encode()}
    found = problems(files)
    assert [problem.split(":")[0] + problem.rpartition(" ")[1] + problem.rpartition(" ")[2] for problem in found] == [
        f"{layer} RecoveryMissing"
    ]
    files["fleet.yaml"] += f"recovery: {RECOVERY}\n".encode()
    assert problems(files) == []


def test_backup_to_put_back_needs_the_key_of_its_site() -> None:
    line = f"restore: sha256:{'ab' * 32}\n"
    assert of_site(line) == ["5:10 error RecipientMissing"]
    assert of_site(line + f"recipient: {RECIPIENT}\n") == []


def test_agent_must_exist_be_allowed_and_be_what_was_signed() -> None:
    line = "agent: 1.2.0\n"
    assert of_site(line) == ["5:8 error MissingReference"]
    assert of_site(line, **{"agents__1.2.0": agent("1.2.0")}) == []
    other = agent("1.2.0").replace(b"sha256:", b"sha256:0").replace(b"\nsize", b"\nsize")
    other = other[: other.index(b"sha256:") + 71] + b"\nsize_bytes: 50\n"
    assert of_site(line, **{"agents__1.2.0": other}) == ["agents/1.2.0.yaml:2:7 error ReleaseTreeDiffers"]
    assert of_site("agent: 9.9.9\n", **{"agents__9.9.9": agent("9.9.9")}) == [
        "agents/9.9.9.yaml:1:10 warning ReleaseNotAllowed",
        "5:8 error ReleaseNotAllowed",
    ]
    assert of_site(line, **{"agents__1.2.0": agent("1.2.0"), "revoked": b"releases: [1.2.0]\n"}) == [
        "5:8 error ReleaseRevoked"
    ]


def test_agent_of_the_same_version_as_a_release_is_another_thing() -> None:
    assert of_site("agent: 2.2.0\n") == ["5:8 error MissingReference"]


KEYS = {
    "release": ("2.1.3", "2.2.0"),
    "agent": ("1.1.0", "1.2.0"),
    "maintenance": ("{windows: [at_boot]}", "{max_deferral: 1d}"),
    "poll": ("{interval: 60s}", "{interval: 61s}"),
    "bandwidth": ("{limit: 1MB/s}", "{limit: 2MB/s}"),
    "connectivity": ("rare", "matchdays"),
    "rollout": ("standard", "fast"),
    "hotspot": (f"{{ssid: A, passphrase: '{SECRET}'}}", f"{{ssid: B, passphrase: '{SECRET}'}}"),
    "backup": ("{videos: true}", "{configuration: false}"),
    "config": ("{a: 1}", "{a: 2}"),
    "video_sets": ("[national]", "[]\nwithout_video_sets: [national]"),
}


@pytest.mark.parametrize("differ", [True, False])
@pytest.mark.parametrize("decided", [True, False])
@pytest.mark.parametrize("key", KEYS)
def test_groups_of_one_rank_that_differ_in_any_key_conflict_unless_a_higher_layer_decides(
    key: str, decided: bool, differ: bool
) -> None:
    one, other = KEYS[key]
    head = "priority: 5\nselect: {id: rennes}\n"
    files = {
        "fleet.yaml": FLEET
        + f"recovery: {RECOVERY}\n".encode()
        + b"rollouts: {standard: {waves: [100%]}, fast: {waves: [100%]}}\n",
        "groups/a.yaml": f"name: A\n{head}{key}: {one}\n".encode(),
        "groups/b.yaml": f"name: B\n{head}{key}: {other if differ else one}\n".encode(),
        SITE: site("rennes", f"recipient: {RECIPIENT}\n" + (f"{key}: {one}\n" if decided else "")),
        **{f"agents/{version}.yaml": agent(version) for version in ("1.1.0", "1.2.0")},
    }
    found = [problem.split()[-1] for problem in problems(changed(small_fleet(), files))]
    assert found == (["EqualPriorityConflict"] if differ and not decided else [])


def test_fleet_that_uses_every_key_is_taken_without_a_word() -> None:
    files = {
        "fleet.yaml": FLEET
        + b"tenants: {kalon: {name: Kalon}}\nguards: {max_sites: 20%}\nrollouts: {standard: {waves: [100%]}}\n"
        + f"alerts: {{offline: {{critical: 1h}}}}\nrecovery: {RECOVERY}\n".encode(),
        SITE: site(
            "rennes",
            f"tenant: kalon\nconnectivity: rare\nagent: 1.2.0\nrollout: standard\nrecipient: {RECIPIENT}\n{HOTSPOT}"
            f"restore: sha256:{'ab' * 32}\n"
            "maintenance: {windows: [at_boot]}\nbandwidth: {limit: 1MB/s}\nbackup: {videos: true}\n",
        ),
        "agents/1.2.0.yaml": agent("1.2.0"),
        "operations/x.yaml": operation("site: rennes"),
    }
    assert problems(changed(small_fleet(), files)) == []


@pytest.mark.parametrize(
    ("path", "text", "hint"),
    [
        (SITE, "timezone: Europe/Pari\n", "Europe/Paris"),
        (SITE, "tenant: kallon\n", "kalon"),
        (SITE, "rollout: standart\n", "standard"),
        (SITE, "video_sets: [nationl]\n", "national"),
        (SITE, "release: 2.2.1\n", "2.2.0"),
        (SITE, "agent: 1.2.1\n", "1.2.0"),
        (SITE, "maintenance: {windows: [at_boot], calendars: [matchs]}\n", "matches"),
        (SITE, "maintenence: {}\n", "maintenance"),
        (SITE, "connectivity: rarely\n", "rare"),
        (SITE, "maintenance: {windows: [{days: weekday, from: '03:00', to: '05:00'}]}\n", "weekdays"),
        ("groups/x.yaml", "name: X\npriority: 1\nselect: {sport: rugby}\n", "sports"),
        ("groups/x.yaml", "name: X\npriority: 1\nselect: {region: Bretange}\n", "Bretagne"),
        ("groups/x.yaml", "name: X\npriority: 1\nsites: [renne]\n", "rennes"),
        ("operations/x.yaml", "target: {group: rugbi}\naction: reboot\nnot_after: 2026-01-01T00:00:00Z\n", "rugby"),
        ("operations/x.yaml", "target: {site: rennes}\naction: rebot\nnot_after: 2026-01-01T00:00:00Z\n", "reboot"),
        ("video-sets/x.yaml", "name: X\ncategory: {id: x, name: X}\nvideos: [noell]\n", "noel"),
    ],
)
def test_misspelt_name_is_answered_with_the_nearest_known_one(path: str, text: str, hint: str) -> None:
    files = {
        "fleet.yaml": FLEET + b"tenants: {kalon: {name: Kalon}}\nrollouts: {standard: {waves: [100%]}}\n",
        "agents/1.2.0.yaml": agent("1.2.0"),
        "calendars/matches.ics": b"BEGIN:VCALENDAR\r\nEND:VCALENDAR\r\n",
        path: site("rennes", text) if path == SITE else text.encode(),
    }
    found = compiled(changed(small_fleet(), files)).problems
    assert len(found) == 1
    assert f"did you mean `{hint}`?" in found[0].message
