"""docs/alerts.md: every alert, when it fires and what to do."""

from collections.abc import Iterator

from control_plane.core.alert_words import ALERT_WORDS
from control_plane.core.alerting import CALM

_CALM_MIN = int(CALM.total_seconds()) // 60
_HEAD = f"""\
# Alerts: what wakes somebody, and what to do

<!-- Written by `make docs` from control_plane/core/alert_words.py: change it there. -->

The control plane looks every 30 seconds at what boxes and commits say. An alert fires once, is updated while it lasts,
is told again only when it gets worse, and clears itself after {_CALM_MIN} calm minutes. What a box
said before it fell silent is no evidence of now: then only its silence is told. Sites that are suspended, retired or
only planned worry nobody.

Thresholds are in Git: `alerts` in `fleet.yaml`, and in groups and sites where they differ, kind by kind. So are
silences, which always end:

```yaml
# a part of sites/brest.yaml
alerts:
  offline: {{warning: 2d, critical: 7d}}
  silence: [temperature, disk]
  until: 2026-12-24
```

A silenced alert is on the page, told to nobody, and told when the silence ends and it is still so.

`connectivity: matchdays` (15 days) and `rare` (90 days) say for how long silence is usual: until then the site is
`Offline`, never green, and no alert. From the alert on the thresholds of `offline` hold as for every box.
"""


def alerts_page() -> str:
    """The page."""
    return "\n".join([_HEAD, *_rows(), ""])


def _rows() -> Iterator[str]:
    yield "| alert | fires when | what to do |"
    yield "|---|---|---|"
    for kind, words in ALERT_WORDS.items():
        yield f"| **{words.title['en']}** `{kind}` | {words.when} | {words.remedy['en']} |"
