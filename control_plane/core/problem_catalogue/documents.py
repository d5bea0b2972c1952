"""One document: its keys, its values, and what it says against itself."""

from typing import Final

from control_plane.core.problem_catalogue.entry import Entry, Sample

_SITE: Final = "name: Brest\nlocation: {city: Brest, region: Bretagne}\n"
_SET: Final = "name: Derby\ncategory: {id: derby, name: DERBY}\n"


def _site(more: str) -> tuple[Sample]:
    return (Sample("sites/brest.yaml", _SITE + more),)


def _fleet(more: str) -> tuple[Sample]:
    return (Sample("fleet.yaml", "schema: 1\ndefaults: {release: 2.1.3, video_sets: [national]}\n" + more),)


def _set(more: str) -> tuple[Sample]:
    return (Sample("video-sets/derby.yaml", _SET + more),)


_ICS: Final = (
    "BEGIN:VCALENDAR\nBEGIN:VEVENT\nUID:derby\nDTSTART;TZID=Europe/Paris:20260905T200000\n%sEND:VEVENT\nEND:VCALENDAR\n"
)


def _calendar(more: str) -> tuple[Sample]:
    return (Sample("calendars/derby.ics", _ICS % more),)


DOCUMENTS: Final = (
    Entry(
        code="BadCalendar",
        title="A calendar that cannot be read",
        means="The file is no iCalendar file, or an event in it has a date, a zone or a recurrence that is not taken.",
        why="A match that is not known closes no window, and a box would restart while it is on.",
        remedy="Correct the line, or export the calendar anew. Recurrences go by the day, week, month or year.",
        wrong=_calendar("DURATION:PT2H\nRRULE:FREQ=HOURLY\n"),
        right=_calendar("DURATION:PT2H\nRRULE:FREQ=WEEKLY\n"),
    ),
    Entry(
        code="BadValue",
        title="A value of the right type that is none of the values here",
        means="The value is text, a number or the like, as it should be, and yet not one that this key takes.",
        why="A misspelt value would silently do nothing, or something else.",
        remedy="Write what the message says; it has the known words, the form or the bounds.",
        wrong=_site("state: retierd\n"),
        right=_site("state: retired\n"),
    ),
    Entry(
        code="ConfigKeyRefused",
        title="A key of the configuration that is not set here",
        means="`config` holds `categories`, `sponsors` or `auth`.",
        why="Categories and sponsors come from video sets; the password is the club's own.",
        remedy="Delete it; for categories and sponsors write a video set.",
        wrong=_site("config: {sponsors: [noel]}\n"),
        right=_site("video_sets: [national]\n"),
    ),
    Entry(
        code="Contradiction",
        title="A layer that says two things at once",
        means="The same video set is added and taken away by one layer.",
        why="Neither of the two is more right than the other.",
        remedy="Delete one of the two.",
        wrong=_site("video_sets: [national]\nwithout_video_sets: [national]\n"),
        right=_site("without_video_sets: [national]\n"),
    ),
    Entry(
        code="EmptyPeriod",
        title="A period that ends before it begins",
        means="`until` lies before `from`; both days are included.",
        why="The video would never be shown.",
        remedy="Swap the two, or correct the year.",
        wrong=_set("videos:\n  - {video: noel, from: 2026-12-20, until: 2026-01-05}\n"),
        right=_set("videos:\n  - {video: noel, from: 2026-12-20, until: 2027-01-05}\n"),
    ),
    Entry(
        code="MissingKey",
        title="A key that must be there is not",
        means="The map lacks a key without which the document means nothing.",
        why="There is no value that could be meant by leaving it out.",
        remedy="Add the key that the message names.",
        wrong=(Sample("sites/brest.yaml", "name: Brest\n"),),
        right=(Sample("sites/brest.yaml", _SITE),),
    ),
    Entry(
        code="FixtureWithoutEnd",
        title="A fixture that ends when it starts",
        means="An event in a calendar has neither an end nor a duration, so it closes no window.",
        why="A box could restart while the match is on.",
        remedy="Write its `DTEND` or `DURATION`; or delete it.",
        severities=("warning",),
        wrong=_calendar(""),
        right=_calendar("DURATION:PT2H\n"),
    ),
    Entry(
        code="SamePlace",
        title="Two videos that would be one file on the box",
        means="A video is in one set twice, at the same time.",
        why="It would be shown once and counted twice, or the reverse.",
        remedy="Delete one of the two, or give them days that do not meet.",
        wrong=_set("videos: [noel, noel]\n"),
        right=_set("videos:\n  - {video: noel, until: 2026-01-05}\n  - {video: noel, from: 2026-12-20}\n"),
    ),
    Entry(
        code="SecretInPlainText",
        title="A secret that is not encrypted",
        means="A passphrase stands in the file as it is, or in a form that nobody encrypted.",
        why="Whoever can read the repository could read it, and Git never forgets.",
        remedy="Write what `neopro secret encrypt` prints, and choose another secret: this one is known.",
        wrong=_site("hotspot: {ssid: Club, passphrase: correct horse}\n"),
        right=_site(""),
    ),
    Entry(
        code="SelectOrSites",
        title="A group with both ways to choose its sites, or neither",
        means="A group has either `select` (a rule) or `sites` (a list).",
        why="With both nobody could tell who is in it; with neither nobody is.",
        remedy="Keep one of the two.",
        wrong=(Sample("groups/west.yaml", "name: West\npriority: 40\nselect: {region: Bretagne}\nsites: [rennes]\n"),),
        right=(Sample("groups/west.yaml", "name: West\npriority: 40\nselect: {region: Bretagne}\n"),),
    ),
    Entry(
        code="UnknownKey",
        title="A key that this kind of document does not have",
        means="The key is misspelt, stands in the wrong map (look at the indentation), or belongs to another kind.",
        why="An unknown key that were ignored would have no effect, and nobody would notice.",
        remedy="Correct it to the nearest known one, which the message names, or delete it.",
        wrong=_site("hardwrae: rpi4-4gb\n"),
        right=_site("hardware: rpi4-4gb\n"),
    ),
    Entry(
        code="WindowNeverOpens",
        title="A maintenance window that never opens",
        means="The window has no hours, no day, or opens and closes at the same time; or there is no window at all.",
        why="Updates would wait for ever.",
        remedy="Write hours of the week, `at_boot` or `{idle: 30m}`.",
        wrong=_site('maintenance: {windows: [{days: daily, from: "03:00", to: "03:00"}]}\n'),
        right=_site('maintenance: {windows: [{days: daily, from: "03:00", to: "05:00"}]}\n'),
    ),
    Entry(
        code="WrongType",
        title="A value of another type",
        means="There is text where a number belongs, one value where a list belongs, nothing where something "
        "belongs, or the like.",
        why="Guessing would be wrong one day: `2.10` as a number is `2.1`.",
        remedy="Write what the message says; mostly quotes or brackets are missing.",
        wrong=_site("sports: football\nlabels: {level: 2}\n"),
        right=_site("sports: [football]\nlabels: {level: '2'}\n"),
    ),
)
