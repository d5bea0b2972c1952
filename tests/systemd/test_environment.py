"""What a real systemd says of a unit's environment: the admin page's root, from its unit and from what is over it."""

import json
import sys
from pathlib import Path

import pytest

from tests.support.booted import booted, why_not

WHY_NOT = why_not()
pytestmark = [pytest.mark.slow, pytest.mark.skipif(bool(WHY_NOT), reason=WHY_NOT)]

UNIT = "/etc/systemd/system/neopro-admin.service"
ASK = """
import json
from reconciler_agent.systemd import Systemd
print(json.dumps(Systemd().environment("neopro-admin")))
"""


@pytest.mark.parametrize(
    ("over", "root"),
    [
        (None, None),
        ("[Service]\nEnvironment=NEOPRO_DIR=/srv/neopro\n", "/srv/neopro"),
        ('[Service]\nEnvironment="NEOPRO_DIR=/srv/the box" A=1\n', "/srv/the box"),
    ],
)
def test_environment_is_that_of_the_unit_and_of_what_was_written_over_it(
    tmp_path: Path, over: str | None, root: str | None
) -> None:
    given = [(UNIT, "[Service]\nEnvironment=NODE_ENV=production\nExecStart=/bin/true\n")]
    given += [(f"{UNIT}.d/override.conf", over)] if over is not None else []
    with booted(tmp_path, *given) as machine:
        said = machine.run(sys.executable, "-c", ASK)

    assert said.returncode == 0, said.stderr
    found = json.loads(said.stdout)
    assert (found["NODE_ENV"], found.get("NEOPRO_DIR")) == ("production", root)
