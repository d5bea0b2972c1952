"""Nothing is told before it is synced, to the last name: by a disk that keeps no more than what was asked for."""

import pytest

from tests.crash.lives import FirstInstall, Operated, RollBack
from tests.crash.power import Power, different
from tests.crash.scenario import Scenario
from tests.crash.told import Told
from tests.crash.trial import look_at_all, workshop


@pytest.mark.parametrize("kind", [FirstInstall, Operated, RollBack], ids=lambda kind: kind.name.replace(" ", "-"))
def test_every_fact_is_on_the_disk_when_it_is_told(kind: type[Scenario]) -> None:
    with workshop() as folder:
        tried = Power(kind(folder), "strict", folder)
        cuts = different(tried.record())
        failures = [*filter(None, look_at_all(tried, [cut._replace(live=False) for cut in cuts]))]

    assert len({cut.told for cut in cuts} - {Told()}) >= 3
    assert not failures, "\n".join(failures)
