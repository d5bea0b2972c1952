"""Alerts over time: whatever comes and goes, each is told once, told again when it gets worse, and clears itself."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from control_plane.core.alerting import CALM, Alert, Key, Step, advance
from control_plane.core.alerts import Firing
from schemas.alerts import Severity

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
RANK = {"info": 0, "warning": 1, "critical": 2}


def hot(severity: Severity = "warning", *, silenced: bool = False, celsius: float = 70) -> Firing:
    return Firing(
        kind="temperature", subject="brest", severity=severity, values={"celsius": celsius}, silenced=silenced
    )


def play(*rounds: list[Firing], every: timedelta = MINUTE) -> list[Step]:
    """The steps of these rounds, one after another."""
    steps: list[Step] = []
    known: dict[Key, Alert] = {}
    for number, firing in enumerate(rounds):
        steps.append(advance(known, firing, START + number * every))
        known = steps[-1].open
    return steps


def news(steps: list[Step]) -> list[list[str]]:
    return [[one.what for one in step.news] for step in steps]


def test_alert_that_lasts_is_told_once() -> None:
    steps = play([hot()], [hot(celsius=71)], [hot(celsius=72)])
    assert news(steps) == [["fired"], [], []]
    (alert,) = steps[-1].open.values()
    assert (alert.fired_at, alert.changed_at) == (START, START + 2 * MINUTE)
    assert alert.firing.values == {"celsius": 72}


def test_alert_that_gets_worse_is_told_again_and_one_that_gets_better_is_not() -> None:
    assert news(play([hot()], [hot("critical")], [hot()], [hot("critical")])) == [["fired"], ["worse"], [], []]


def test_alert_clears_itself_after_a_calm_and_says_so() -> None:
    steps = play([hot()], *([[]] * 7))
    assert news(steps) == [["fired"], [], [], [], [], [], ["cleared"], []]
    assert [len(step.cleared) for step in steps] == [0, 0, 0, 0, 0, 0, 1, 0]
    assert steps[-1].open == {}


def test_alert_that_comes_and_goes_stays_one() -> None:
    assert news(play([hot()], [], [], [hot()], [], [], [hot()])) == [["fired"], [], [], [], [], [], []]


def test_silenced_alert_is_kept_and_told_when_the_silence_ends() -> None:
    steps = play([hot(silenced=True)], [hot(silenced=True)], [hot()])
    assert news(steps) == [[], [], ["fired"]]
    assert [len(step.open) for step in steps] == [1, 1, 1]


def test_alert_that_was_never_told_clears_without_a_word() -> None:
    assert news(play([hot(silenced=True)], *([[]] * 8))) == [[]] * 9


SEVERITIES: list[Severity] = ["info", "warning", "critical"]
ROUNDS = st.lists(
    st.dictionaries(
        st.sampled_from(["brest", "nantes"]), st.tuples(st.sampled_from(SEVERITIES), st.booleans()), max_size=2
    ),
    max_size=40,
)


@given(ROUNDS)
def test_nobody_hears_twice_of_the_same_nor_of_an_end_without_a_beginning(
    rounds: list[dict[str, tuple[Severity, bool]]],
) -> None:
    known: dict[Key, Alert] = {}
    heard: dict[str, int] = {}
    for number, firing in enumerate(rounds):
        found = [
            Firing(kind="disk", subject=site, severity=severity, silenced=silenced)
            for site, (severity, silenced) in firing.items()
        ]
        step = advance(known, found, START + number * MINUTE)
        for one in step.news:
            site, rank = one.alert.firing.subject, RANK[one.alert.firing.severity]
            assert (site in heard) == (one.what != "fired")
            if one.what == "cleared":
                del heard[site]
            else:
                assert rank > heard.get(site, -1)
                heard[site] = rank
        for site, (severity, silenced) in firing.items():
            assert silenced or heard[site] >= RANK[severity], "what is so and not silenced was told"
        known = step.open
    assert {subject for _, subject in known} >= heard.keys()
    assert all(now_calm is None or now_calm >= START for now_calm in (alert.calm_since for alert in known.values()))
    assert timedelta(minutes=1) < CALM
