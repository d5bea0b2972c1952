"""Whom the agent takes for its control plane: certificates, their dates by a clock that may be wrong, addresses."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from reconciler_agent.client import Client
from reconciler_agent.errors import NetworkTrouble, SettingsInvalid
from tests.support.authority import Authority
from tests.support.scripted_client import JSON, KEY, Clock, Serve, client
from tests.support.scripted_http import Say
from tests.support.trust_world import SITE, head


@pytest.mark.parametrize(
    "url", ["http://example.org", "http://10.0.0.1", "ftp://localhost", "https://", "", "https://a:b@c"]
)
def test_url_that_is_not_safe_is_refused(url: str) -> None:
    with pytest.raises(SettingsInvalid):
        Client(url=url, site=SITE, key=KEY, clock=Clock())


def test_missing_ca_file_is_one_clear_sentence(tmp_path: Path) -> None:
    with pytest.raises(SettingsInvalid, match="cannot use the certificates"):
        Client(url="https://127.0.0.1", site=SITE, key=KEY, clock=Clock(), ca=tmp_path / "none.pem")


def test_server_of_another_authority_is_refused(serve: Serve, tmp_path: Path) -> None:
    ours, theirs = Authority(tmp_path, "ours"), Authority(tmp_path, "theirs")
    server = serve(lambda _: Say(200, JSON, head()), theirs.server_context())
    for ca in (ours.ca_file, None):
        with pytest.raises(NetworkTrouble, match="certificate"):
            client(server, ca=ca).trust(2)
    assert server.asked == []


@pytest.mark.parametrize("unsynchronised", [False, True])
def test_server_of_another_name_is_refused(serve: Serve, tmp_path: Path, unsynchronised: bool) -> None:
    authority = Authority(tmp_path, "own")
    server = serve(lambda _: Say(200, JSON, head()), authority.server_context())
    floor = (lambda: datetime.now(UTC)) if unsynchronised else (lambda: None)
    box = client(server, url=f"https://127.0.0.2:{server.port}", ca=authority.ca_file, floor_at=floor)
    with pytest.raises(NetworkTrouble):
        box.trust(2)
    assert server.asked == []


YEAR = timedelta(days=365)


@pytest.mark.parametrize("issued", [-YEAR, timedelta(), YEAR])
@pytest.mark.parametrize("floor", [None, -2 * YEAR, timedelta(), 2 * YEAR])
def test_certificate_s_dates_are_judged_by_the_clock_or_by_the_floor_alone(
    serve: Serve, tmp_path: Path, issued: timedelta, floor: timedelta | None
) -> None:
    now = datetime.now(UTC)
    authority = Authority(tmp_path, "own", now + issued)
    server = serve(lambda _: Say(200, JSON, head()), authority.server_context())
    box = client(server, ca=authority.ca_file, floor_at=lambda: None if floor is None else now + floor)
    good = issued == timedelta() if floor is None else floor <= issued
    if good:
        assert box.trust(2) == head()
    else:
        with pytest.raises(NetworkTrouble, match="certificate"):
            box.trust(2)
        assert server.asked == []


def test_dates_are_judged_by_the_clock_again_once_it_is_synchronised(serve: Serve, tmp_path: Path) -> None:
    now = datetime.now(UTC)
    authority = Authority(tmp_path, "own", now - YEAR)
    floor: list[datetime | None] = [now - 2 * YEAR]
    hung_up = {**JSON, "Connection": "close"}
    server = serve(lambda _: Say(200, hung_up, head()), authority.server_context())
    box = client(server, ca=authority.ca_file, floor_at=lambda: floor[0])
    assert box.trust(2) == head()
    floor[0] = None
    with pytest.raises(NetworkTrouble, match="certificate"):
        box.trust(2)
