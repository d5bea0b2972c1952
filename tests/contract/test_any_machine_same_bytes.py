"""The same tree gives the same bytes on every machine, whatever its time zone, zone database and hash seed."""

import os
import subprocess
import sys
from pathlib import Path

SCRIPT = """
import hashlib
from control_plane.core.compile import compile_commit
from tests.contract.test_same_tree_same_bytes import FLEET, MATCHES
from tests.support.calendars import MATCH, STAMP, calendar, event
from tests.support.fleet_generator import as_tree

day = event("UID:day", STAMP, "DTSTART;VALUE=DATE:20260913")
weekly = event("UID:weekly", STAMP, "DTSTART:20261018T150000", "DURATION:PT2H", "RRULE:FREQ=WEEKLY")
site = "sites/club-000002.yaml"
files = FLEET | {site: FLEET[site] + MATCHES.encode(), "calendars/matches.ics": calendar(MATCH, day, weekly)}
fleet = compile_commit(*as_tree(files))
assert not fleet.has_errors and b'"busy":[[' in fleet.sites["club-000002"].body
bodies = b"".join(one.body for _, one in sorted(fleet.sites.items()))
print(hashlib.sha256(bodies + repr(fleet.problems).encode()).hexdigest())
"""
ROOT = Path(__file__).parents[2]
MACHINES = [
    {"TZ": "UTC", "PYTHONHASHSEED": "1"},
    {"TZ": "Pacific/Auckland", "PYTHONHASHSEED": "2", "PYTHONTZPATH": ""},
    {"TZ": "America/St_Johns", "PYTHONHASHSEED": "3", "PYTHONTZPATH": "/nowhere", "LC_ALL": "C"},
]


def test_machines_that_differ_compile_the_same_bytes() -> None:
    digests = [
        subprocess.run(
            [sys.executable, "-c", SCRIPT],
            cwd=ROOT,
            env=os.environ | machine | {"PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for machine in MACHINES
    ]
    assert len(digests[0].strip()) == 64
    assert len(set(digests)) == 1
