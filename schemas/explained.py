"""What each key of an operator's document means, and an example of it: for editors, and for the page of the language.

Beside the types and not in them, so that `schemas.desired` reads like the language. A test holds both to each other.
"""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from msgspec import Struct

from schemas import alerts, desired


class Explained(NamedTuple):
    """One sentence for people, and a value as it would be written (dates as text)."""

    description: str
    example: Any


_DIGEST: Final = "sha256:5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef"
_AGE: Final = "age154e7m59vjv75k826wdythaa926jazzknksd2yzv8jcygtvfkg4xq6qd0lq"
_IDENTITY: Final = "ed25519:PaoemJ+IOwOl8zvMMAlYwW1Hf7D9Q31fAN7AdHbO8f0="
_ENCRYPTED: Final = "age:YWdlLWVuY3J5cHRpb24ub3JnL3YxCg=="
_SPONSOR: Final = {"from": "2026-11-01", "until": "2026-12-24", "video": "decathlon-noel"}
_ADVERT: Final = {"id": "annonces_neopro", "name": "ANNONCES NEOPRO"}

E = Explained
EXPLAINED: Final[Mapping[type[Struct], Mapping[str, Explained]]] = {
    desired.Window: {
        "days": E("The days on which the window opens; left out, every day.", ["mon", "thu"]),
        "from": E("When it opens, by the clock on the site's wall.", "03:00"),
        "to": E("When it closes; before `from` it is on the next day.", "05:00"),
        "idle": E("Instead of hours: after this long without play and without a remote.", "30m"),
    },
    desired.Maintenance: {
        "windows": E(
            "When disruptive steps may run: weekly hours, `at_boot`, or after `idle` time; any of them is enough.",
            [{"days": "daily", "from": "03:00", "to": "05:00"}, "at_boot"],
        ),
        "calendars": E("Fixtures (calendars/ID.ics) during which nothing disruptive happens.", ["rennes-fc"]),
        "max_deferral": E("After waiting this long a step waits for no window any more, but for a match.", "14d"),
        "bind_visible": E("Let visible steps (a new configuration on the screen) wait for a window, too.", True),
    },
    desired.Poll: {
        "interval": E("How often a box asks for news when the server cannot hold its request; at most 24h.", "60s"),
    },
    desired.Bandwidth: {
        "limit": E("The most that downloads may take.", "2MB/s"),
        "hours": E("When the limit holds, by the clock on the site's wall; left out, always.", "08:00-22:00"),
    },
    desired.Hotspot: {
        "ssid": E("The name of the box's own Wi-Fi: at most 32 bytes.", "Neopro Rennes"),
        "passphrase": E("Its passphrase, encrypted to the sites' recipients by `neopro secret encrypt`.", _ENCRYPTED),
    },
    desired.Backup: {
        "configuration": E("Keep what the club owns of its configuration, encrypted to `recovery`.", True),
        "videos": E("Keep the club's own videos as well.", False),
    },
    desired.Layer: {
        "release": E("The release of the box's applications (releases/VERSION.yaml).", "2.2.0"),
        "agent": E("The release of the agent (agents/VERSION.yaml).", "1.2.0"),
        "video_sets": E("Video sets that come in addition to those of lower layers.", ["annonces-nationales"]),
        "without_video_sets": E("Video sets of lower layers that are taken away again.", ["annonces-nationales"]),
        "config": E(
            "Keys of the box's configuration that central owns; maps merge, `null` means 'not managed from here on'.",
            {"liveScoreEnabled": True, "scoreOverlay": {"position": "top-left"}},
        ),
        "maintenance": E("When disruptive steps may run.", {"windows": ["at_boot"], "max_deferral": "14d"}),
        "poll": E("How often a box asks for news.", {"interval": "60s"}),
        "bandwidth": E("How much downloads may take.", {"limit": "2MB/s", "hours": "08:00-22:00"}),
        "connectivity": E("When the box is expected to be online.", "matchdays"),
        "rollout": E("The policy by which a new `release` or `agent` of this layer reaches its sites.", "standard"),
        "hotspot": E("The box's own Wi-Fi.", {"ssid": "Neopro Rennes", "passphrase": _ENCRYPTED}),
        "backup": E("What of the club's is kept for a replaced box.", {"configuration": True, "videos": False}),
        "alerts": E("Other thresholds than the fleet's, kind by kind, and silences.", {"offline": {"critical": "3d"}}),
    },
    desired.RolloutPolicy: {
        "waves": E("Which share of the sites has it after each wave: rising to 100%.", ["10%", "50%", "100%"]),
        "soak": E("How long a wave must run well before the next begins.", "30m"),
        "success": E("The share of those of a wave that run well or failed which must run well; else it stops.", "95%"),
        "quorum": E("The share of a wave's sites that must run well before the next wave.", "80%"),
        "deadline": E("How long a wave may take before somebody is told; longer than `soak`.", "24h"),
        "max_failures": E("How many sites may fail before the rollout stops, whatever the shares.", 3),
        "on_failure": E("When it stops: `hold` where it is, or `rollback`: all go back to what they had.", "rollback"),
    },
    alerts.OfflineThreshold: {
        "warning": E("Silence after which somebody is warned.", "30m"),
        "critical": E("Silence after which it is critical.", "1h"),
    },
    alerts.NumberThreshold: {
        "warning": E("The number from which somebody is warned.", 70),
        "critical": E("The number from which it is critical.", 80),
    },
    alerts.PercentThreshold: {
        "warning": E("The share from which somebody is warned.", "85%"),
        "critical": E("The share from which it is critical.", "95%"),
    },
    alerts.Alerts: {
        "offline": E("A box that is silent.", {"critical": "1h"}),
        "temperature": E("A box that is hot, in degrees Celsius.", {"warning": 70, "critical": 80}),
        "disk": E("A disk that is nearly full.", {"warning": "85%", "critical": "95%"}),
        "release_behind": E("A box that is this many releases behind.", {"warning": 2}),
        "silence": E("Kinds of alerts that nobody is to hear of, or `all`.", ["offline", "disk"]),
        "until": E("The last day of the silence, included; a silence without an end is refused.", "2026-12-24"),
    },
    desired.Guards: {
        "max_sites": E("The share of sites that one commit may change without an `Allow-Impact:` trailer.", "20%"),
        "allow_removals": E("Whether a commit may take sites or videos away without that trailer.", False),
    },
    desired.Tenant: {"name": E("The name that pages show.", "Kalon Partners")},
    desired.Fleet: {
        "schema": E("The version of the language: 1.", 1),
        "defaults": E("The lowest layer: every box starts from it.", {"release": "2.1.3"}),
        "rollouts": E("Policies for rollouts, by the name that layers use.", {"standard": {"waves": ["10%", "100%"]}}),
        "alerts": E("From when somebody is alerted; groups and sites may differ.", {"offline": {"critical": "1h"}}),
        "guards": E("What one commit may do without a trailer that lifts the limit.", {"max_sites": "20%"}),
        "tenants": E("Parties that may see their own sites, by the name that sites use.", {"kalon": {"name": "Kalon"}}),
        "recovery": E("The team's recovery key (age): boxes encrypt backups to it.", _AGE),
    },
    desired.Location: {
        "city": E("The city.", "Rennes"),
        "region": E("The region; groups select by it.", "Bretagne"),
        "country": E("The country.", "France"),
        "lat": E("Latitude in degrees (WGS 84).", 48.1147),
        "lon": E("Longitude in degrees (WGS 84).", -1.6794),
    },
    desired.Contact: {
        "name": E("Whom to ask for.", "Anne Le Goff"),
        "email": E("An address.", "contact@rennes-fc.example"),
        "phone": E("A telephone number.", "+33 2 99 00 00 00"),
    },
    desired.Site: {
        "name": E("The name that pages show.", "Club Rennes FC"),
        "club": E("The club, where it has another name.", "Rennes FC"),
        "location": E("Where the box is.", {"city": "Rennes", "region": "Bretagne"}),
        "sports": E("What is played there; groups select by it.", ["football", "futsal"]),
        "labels": E("Labels of your own; groups select by `labels.NAME`.", {"offer": "premium"}),
        "hardware": E("The box's model; releases may require one.", "rpi4-4gb"),
        "timezone": E("The time zone of windows, campaign days and floating fixtures.", "Europe/Paris"),
        "identity": E("The box's public key; without it no box may speak for the site.", _IDENTITY),
        "recipient": E("The box's key for secrets (age).", _AGE),
        "state": E("`suspended` and `retired` boxes are told, stop converging, and stay as they are.", "active"),
        "contact": E("Whom to call about the site.", {"email": "contact@rennes-fc.example"}),
        "tenant": E("Who may see the site on the page, beside the team.", "kalon"),
        "restore": E("A backup of the club's configuration that the box is to put back once.", _DIGEST),
    },
    desired.Not: {"not": E("None of these values.", ["rugby", "futsal"])},
    desired.Group: {
        "name": E("The name that pages show.", "Rugby en Bretagne"),
        "type": E("How pages file the group.", "sport"),
        "select": E(
            "Every key must hold; a list is any-of, `not` turns it round. Values compare exactly.",
            {"region": "Bretagne", "sports": ["rugby", "futsal"], "labels.offer": {"not": "basic"}},
        ),
        "sites": E("The sites of the group, by id, instead of `select`.", ["rennes-fc", "vannes-rugby"]),
        "priority": E("Groups of a higher priority lie over those of a lower one.", 200),
    },
    desired.Media: {
        "duration_s": E("How long it plays, in seconds.", 20.5),
        "width": E("Width in pixels.", 1920),
        "height": E("Height in pixels.", 1080),
        "codec": E("What the picture is encoded with.", "h264"),
    },
    desired.Video: {
        "name": E("The name that the remote shows.", "Décathlon Noël"),
        "digest": E("SHA-256 of the file.", _DIGEST),
        "size_bytes": E("Size of the file.", 48_213_004),
        "media": E("What the file is made of.", {"duration_s": 20.5, "width": 1920, "height": 1080, "codec": "h264"}),
        "sponsor": E("Whose it is; plays are counted for it.", "decathlon"),
        "analytics_category": E("Under what plays are counted.", "national"),
        "thumbnail": E("SHA-256 of a picture of it.", _DIGEST),
    },
    desired.CategoryName: {
        "id": E("The id in the box's configuration.", "annonces_neopro"),
        "name": E("The name that the remote shows.", "ANNONCES NEOPRO"),
    },
    desired.VideoItem: {
        "video": E("The video (videos/ID.yaml).", "decathlon-noel"),
        "from": E("The first day, by the site's calendar; left out, since ever.", "2026-11-01"),
        "until": E("The last day, included; left out, for ever.", "2026-12-24"),
    },
    desired.VideoSet: {
        "name": E("The name of the set, for the team.", "Annonces nationales"),
        "category": E("The category of the remote that shows the set.", _ADVERT),
        "subcategory": E("A second level of the remote.", {"id": "partenaires", "name": "Partenaires"}),
        "blocks": E("The time blocks of the remote that show the category.", ["before", "during", "after"]),
        "loop": E("A loop that plays the set as well: the default one (`sponsors`), or a block's.", "sponsors"),
        "videos": E("The videos, in the order of the remote; with days they come and go by themselves.", [_SPONSOR]),
    },
    desired.Requires: {
        "from": E("The oldest release that it may follow.", ">=2.0.0"),
        "agent": E("The oldest agent that can install it.", ">=1.0"),
        "hardware": E("Models that can run it; left out, all.", ["rpi4-4gb", "rpi5-8gb"]),
    },
    desired.HttpCheck: {
        "http": E("An address on the box.", "http://localhost:3000/"),
        "expect": E("What its answer must contain.", '"status":"ok"'),
    },
    desired.Health: {
        "within": E("How long the release may take to be healthy.", "120s"),
        "settle": E("How long it must stay healthy then.", "30s"),
        "checks": E("Checks beyond the box's own.", [{"http": "http://localhost:3000/", "expect": '"status":"ok"'}]),
    },
    desired.ReleasePatch: {
        "from": E("The release that the box has.", "2.1.3"),
        "base": E("The tree of that release.", _DIGEST),
        "index": E("The document that describes the patch.", _DIGEST),
        "size_bytes": E("What a box downloads with it.", 480_000),
    },
    desired.Release: {
        "version": E("The version; the same as the file's name.", "2.2.0"),
        "tree": E("SHA-256 of the listing of its files.", _DIGEST),
        "size_bytes": E("Size of its files.", 25_000_000),
        "changelog": E("What is new, for people.", "Live score, and a fix for the clock."),
        "requires": E("What it needs of a box.", {"from": ">=2.0.0", "hardware": ["rpi4-4gb"]}),
        "services": E("The services that are restarted, in this order.", ["neopro-app", "neopro-kiosk"]),
        "health": E("When it counts as healthy.", {"within": "120s", "settle": "30s"}),
        "patches": E(
            "What may be fetched instead of whole files; written, never typed.",
            [{"from": "2.1.3", "base": _DIGEST, "index": _DIGEST, "size_bytes": 480_000}],
        ),
    },
    desired.AgentRelease: {
        "version": E("The version; the same as the file's name.", "1.2.0"),
        "tree": E("SHA-256 of the listing of its files.", _DIGEST),
        "size_bytes": E("Size of its files.", 2_000_000),
        "changelog": E("What is new, for people.", "Fetches patches."),
    },
    desired.Target: {
        "site": E("One site.", "rennes-fc"),
        "group": E("Every site of a group.", "bretagne"),
    },
    desired.Operation: {
        "target": E("Whom it is for: one site, or one group.", {"site": "rennes-fc"}),
        "action": E("What the box does, once.", "restart_service"),
        "service": E("Which service: for restart_service and fetch_logs.", "neopro-app"),
        "since": E("How far back: for fetch_logs.", "2h"),
        "not_after": E("After this instant it is inert.", "2026-11-24T06:00:00+01:00"),
    },
    desired.Revoked: {
        "identities": E("Keys whose boxes are refused from now on.", [_IDENTITY]),
        "releases": E("Releases that no layer may name any more, of applications or agents.", ["2.1.2"]),
    },
}
"""Struct -> its own keys (those of Layer are those of groups and sites as well)."""


def explained(kind: type[Struct], key: str) -> Explained | None:
    """The entry of a key, its own or inherited; None when there is none."""
    return next((entry for base in kind.__mro__ if (entry := EXPLAINED.get(base, {}).get(key)) is not None), None)
