"""The API is as it describes itself: whatever is sent, by whomever, no call fails and each answers as is written.

A sample here, the same each time; `make test-api` sends far more, by a seed that it says.
"""

import random
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext, suppress
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from schemathesis import Case, GenerationMode
from schemathesis.checks import load_all_checks

from control_plane.store.binaries import Programs
from tests.support.hostile_fleet import SITE, HostileFleet, hostile_fleet
from tests.support.postgres import PostgresServer, newest_and_oldest

SAMPLE, MANY = 3, 60
"""Requests for each operation, by each of ASKERS, of each mode."""
BODIES = 5
"""So many times more for what a box sends: there is most to be wrong."""
MODES = (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)
ASKERS: Mapping[str, Callable[[HostileFleet], dict[str, str]]] = {
    "nobody": lambda fleet: {},
    "somebody": lambda fleet: {"Authorization": "Bearer neopro_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"},
    "operator": lambda fleet: {"Authorization": f"Bearer {fleet.token}"},
    "box": lambda fleet: fleet.served.world.headers(SITE),
}
HOW: Any = {
    "database": None,
    "phases": [Phase.generate, Phase.shrink],
    "suppress_health_check": list(HealthCheck),
}
CHECKS = (
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
)


@pytest.fixture(scope="module")
def fleet(
    tmp_path_factory: pytest.TempPathFactory, postgres_servers: Callable[[Programs], PostgresServer]
) -> Iterator[HostileFleet]:
    server = postgres_servers(newest_and_oldest()[0])
    database = server.create_database()
    with hostile_fleet(tmp_path_factory.mktemp("described"), database) as made:
        yield made
    server.drop_database(database)


@pytest.fixture(scope="module")
def operations(fleet: HostileFleet) -> list[Any]:
    """Every operation of the API's own description, which must be one."""
    load_all_checks()
    description = httpx.get(f"{fleet.url}/v1/openapi.json", trust_env=False).json()
    schema = schemathesis.openapi.from_dict(description)
    schema.config.update(base_url=fleet.url)
    schema.validate()
    found = [one.ok() for one in schema.get_all_operations()]
    assert len(found) == sum(len(methods) for methods in description["paths"].values()) > 40
    return found


def known(fleet: HostileFleet) -> Mapping[str, str]:
    """Parameter of a path -> what is there."""
    world = fleet.served.world
    [digest] = {
        line.split()[1].strip('"') for line in world.file("videos/hostile.yaml").splitlines() if "digest" in line
    }
    return fleet.addresses | {"digest": digest, "version": "1"}


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("asker", ASKERS)
def test_every_call_is_answered_as_described(
    fleet: HostileFleet, operations: list[Any], asker: str, long: bool
) -> None:
    given_seed = random.randrange(1 << 32) if long else 1
    print(f"seed {given_seed}")
    there, answers = known(fleet), Counter[int]()

    def ask(case: Case, real: bool) -> None:
        if real:
            case.path_parameters = {name: there.get(name, value) for name, value in case.path_parameters.items()}
        answer = case.call(headers=ASKERS[asker](fleet), allow_redirects=False, timeout=30)
        answers[answer.status_code] += 1
        require_as_described(case, answer)

    for operation in operations:
        most = (MANY if long else SAMPLE) * (BODIES if operation.body and asker == "box" else 1)
        for mode in MODES:
            probe = given(case=operation.as_strategy(generation_mode=mode), real=st.booleans())(ask)
            # What takes nothing, or any text, cannot be asked wrongly.
            with suppress(Unsatisfiable) if mode is GenerationMode.NEGATIVE else nullcontext():
                seed(given_seed)(settings(**HOW, max_examples=most)(probe))()
    print(answers)
    assert answers[401] if asker in ("nobody", "somebody") else answers[200]


def require_as_described(case: Case, answer: Any) -> None:
    """Errors are problems, by the description's `default`; what else is answered must be named by its status."""
    status = answer.status_code
    if not 400 <= status < 500:
        assert str(status) in case.operation.definition.raw["responses"], f"{status}: {case.as_curl_command()}"
    case.validate_response(answer, checks=[schemathesis.checks.CHECKS.get_one(name) for name in CHECKS])
