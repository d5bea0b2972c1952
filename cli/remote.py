"""The control plane as the command line sees it: a few calls over HTTPS, with a personal token.

Blobs go and come by `cli.transfers`.
"""

import ssl
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from ipaddress import ip_address
from pathlib import Path
from typing import Final, NamedTuple, TypeVar
from urllib.parse import quote

import httpx

from cli import answers
from cli.checkout import Checkout
from cli.errors import CommandFailed
from cli.output import Advance
from cli.settings import settings_of
from cli.transfers import Blob, Transfers
from schemas.alerts import AlertInfo
from schemas.api import (
    Change,
    ClubNames,
    ClubState,
    FleetStatus,
    KeptBlob,
    Observations,
    OperationLog,
    SiteDetail,
    SiteGeneration,
    SweepReport,
)
from schemas.enrolment import Enrolment, NewEnrolment
from schemas.manifest import SiteManifest
from schemas.memory import Availability, ConditionSpan, Deployments, MetricsPoint, Period, Trouble
from schemas.names import Digest, SiteId
from schemas.rollouts import RolloutDetail, RolloutInfo

T = TypeVar("T")

PARALLEL_READS: Final = 8
SWEEP_S: Final = 1800
CLUBS_AT_ONCE: Final = 100


class Target(NamedTuple):
    """Which control plane, and by which token; `ca`: a PEM file of whom to trust beside the system's."""

    url: str
    token: str
    ca: str | None = None


def find_target(env: Mapping[str, str], checkout: Checkout | None) -> Target:
    """The control plane that the settings name (`cli.settings`), and NEOPRO_TOKEN or the token in the file that they
    name; CommandFailed says which is missing."""
    settings = settings_of(env, checkout)
    url = settings["url"].value
    if not url:
        raise CommandFailed(
            "cannot tell which control plane: set NEOPRO_URL, or in the checkout: git config neopro.url https://…"
        )
    _require_safe(url)
    token = env.get("NEOPRO_TOKEN") or _token_file(settings["token_file"].value)
    if not token.isascii() or not token.isprintable():
        raise CommandFailed("cannot use the token: it holds a character that no token has; copy it again")
    return Target(url.rstrip("/"), token, settings["ca"].value or None)


def find_target_if_any(env: Mapping[str, str], checkout: Checkout | None) -> Target | None:
    """As `find_target`; None where no control plane is configured at all."""
    return find_target(env, checkout) if settings_of(env, checkout)["url"].value else None


class Remote:
    """An open connection to a control plane; use it as a context."""

    def __init__(self, target: Target) -> None:
        self._url = target.url
        # No environment: a proxy or a key log that somebody set must not see the token.
        self._client = httpx.Client(
            base_url=target.url,
            headers={"Authorization": f"Bearer {target.token}", "Accept-Encoding": "identity"},
            trust_env=False,
            verify=_trust(target),
            timeout=httpx.Timeout(30, connect=10),
        )

    def __enter__(self) -> "Remote":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the connection."""
        self._client.close()

    def fleet(self) -> FleetStatus:
        """The whole fleet."""
        return self._ask("read the fleet", "GET", "/v1/fleet", FleetStatus)

    def get(self, path: str) -> httpx.Response:
        """The answer, whatever it is; CommandFailed where none comes."""
        return self._request("GET", path)

    def _request(self, method: str, path: str) -> httpx.Response:
        try:
            return self._client.request(method, path)
        except httpx.TransportError as problem:
            raise self._unreachable(problem) from None

    def change(self, commit: str) -> Change | None:
        """A commit and how far it got; None where the control plane has not looked at it."""
        answer = self._get_if_any("ask for the commit", f"/v1/changes/{quote(commit, safe='')}")
        return self._read("ask for the commit", answer, Change) if answer else None

    def logs(self, operation: str) -> list[OperationLog]:
        """Which sites sent a log for an operation."""
        return self._ask("list the logs", "GET", f"/v1/operations/{quote(operation, safe='')}/logs", list[OperationLog])

    def log(self, site: str, operation: str) -> bytes | None:
        """What a site's box sent for an operation; None where it sent nothing."""
        path = f"/v1/sites/{quote(site, safe='')}/logs/{quote(operation, safe='')}"
        answer = self._get_if_any("read the log", path)
        return answer.content if answer else None

    def backup(self, site: SiteId) -> bytes | None:
        """The newest backup of a club's configuration as its box encrypted it; None where there is none."""
        answer = self._get_if_any(f"read the backup of {site}", f"/v1/sites/{site}/backup")
        return answer.content if answer else None

    def video_index(self, site: SiteId) -> bytes | None:
        """The index of the backup of a club's videos as its box encrypted it; None where there is none."""
        answer = self._get_if_any(f"read what is kept of the videos of {site}", f"/v1/sites/{site}/backup/videos")
        return answer.content if answer else None

    def kept_videos(self, site: SiteId) -> list[KeptBlob]:
        """The encrypted videos that are kept of a site."""
        return self._ask(
            f"list the videos that are kept of {site}", "GET", f"/v1/sites/{site}/backup/blobs", list[KeptBlob]
        )

    def trust_root(self, version: int) -> bytes | None:
        """The trust root of that version, not verified; None where it has none."""
        answer = self._get_if_any("read the trust root", f"/v1/trust/{version}")
        return answer.content if answer else None

    def release_list(self, version: int) -> bytes | None:
        """The release list of that version, not verified; None where it has none."""
        answer = self._get_if_any("read the release list", f"/v1/release-list/{version}")
        return answer.content if answer else None

    def head(self, site: SiteId) -> bytes:
        """The signed head of a site, not verified; CommandFailed where it was never published."""
        answer = self._request("GET", f"/v1/sites/{quote(site, safe='')}/head")
        if not answer.is_success:
            raise CommandFailed(f"cannot read the head of {site}: {answers.why(answer)}")
        return answer.content

    def enrolments(self) -> list[Enrolment]:
        """The newest enrolment token of each site, and what became of it."""
        return self._ask("list enrolments", "GET", "/v1/enrolments", list[Enrolment])

    def make_enrolment(self, site: SiteId, days: int) -> NewEnrolment:
        """A new enrolment token for a site; the one before ends."""
        path = f"/v1/sites/{quote(site, safe='')}/enrolment?days={days}"
        return self._ask(f"make a token for {site}", "POST", path, NewEnrolment)

    def revoke_enrolment(self, site: SiteId) -> bool:
        """End the enrolment token of a site; whether there was one."""
        path = f"/v1/sites/{quote(site, safe='')}/enrolment"
        return self._if_any(f"revoke the token of {site}", self._request("DELETE", path)) is not None

    def observations(self) -> Observations:
        """What every box last reported, as far as plans ask."""
        return self._ask("read what boxes reported", "GET", "/v1/observations", Observations)

    def site(self, site: SiteId) -> SiteDetail:
        """One site, whole."""
        return self._ask(f"read the site {site}", "GET", f"/v1/sites/{site}/status", SiteDetail)

    def club(self, site: SiteId) -> ClubState | None:
        """What the club of a site owns; None where its box never told, or the control plane keeps no such thing."""
        what = f"read what the club of {site} owns"
        answer = self._get_if_any(what, f"/v1/sites/{quote(site, safe='')}/club")
        return self._read(what, answer, ClubState) if answer else None

    def clubs(self, sites: Sequence[SiteId]) -> dict[SiteId, ClubNames]:
        """What plans ask of the clubs of these sites, of those that told."""
        found: dict[SiteId, ClubNames] = {}
        for start in range(0, len(sites), CLUBS_AT_ONCE):
            asked = "&".join(f"site={quote(site, safe='')}" for site in sites[start : start + CLUBS_AT_ONCE])
            answer = self._get_if_any("read what clubs own", f"/v1/clubs?{asked}")
            if answer is None:  # a control plane that keeps no such thing
                return {}
            found |= {one.site: one for one in self._read("read what clubs own", answer, list[ClubNames])}
        return found

    def history(self, site: SiteId) -> list[SiteGeneration]:
        """The commits that changed a site, the newest first."""
        return self._ask(f"read the history of {site}", "GET", f"/v1/sites/{site}/history", list[SiteGeneration])

    def alerts(self, past_hours: int) -> list[AlertInfo]:
        """What worries somebody, and what did within so many hours."""
        return self._ask("read the alerts", "GET", f"/v1/alerts?past_hours={past_hours}", list[AlertInfo])

    def metrics(self, site: SiteId, hours: int, points: int) -> list[MetricsPoint]:
        """What a box measured within so many hours, in at most so many points, the oldest first."""
        path = f"/v1/sites/{site}/metrics?hours={hours}&points={points}"
        return self._ask(f"read what {site} measured", "GET", path, list[MetricsPoint])

    def conditions(self, site: SiteId, hours: int) -> list[ConditionSpan]:
        """The conditions of a site that held within so many hours, the newest first."""
        path = f"/v1/sites/{site}/conditions?hours={hours}"
        return self._ask(f"read the conditions of {site}", "GET", path, list[ConditionSpan])

    def availability(self, by: Period, count: int, site: SiteId | None) -> list[Availability]:
        """How much of the time boxes were heard in so many weeks or months and the present one, the oldest first."""
        return self._ask("read the report", "GET", _by_period("availability", by, count, site), list[Availability])

    def deployments(self, by: Period, count: int, site: SiteId | None) -> list[Deployments]:
        """What became of changes, likewise."""
        return self._ask("read the report", "GET", _by_period("deployments", by, count, site), list[Deployments])

    def troubles(self, hours: int) -> list[Trouble]:
        """The most frequent reasons of warnings and errors within so many hours."""
        return self._ask("read the report", "GET", f"/v1/troubles?hours={hours}", list[Trouble])

    def rollouts(self, ended: int = 0) -> list[RolloutInfo]:
        """Those under way, the oldest first, and so many of those that ended; none of a control plane without any."""
        answer = self._get_if_any("list the rollouts", f"/v1/rollouts?ended={ended}")
        return self._read("list the rollouts", answer, list[RolloutInfo]) if answer else []

    def rollout(self, number: int) -> RolloutDetail:
        """One of them, with its sites."""
        return self._ask(f"read rollout {number}", "GET", f"/v1/rollouts/{number}", RolloutDetail)

    def manifests(self, digests: Iterable[Digest]) -> dict[Digest, SiteManifest]:
        """Those of these manifests that it has, several fetched at once."""
        from concurrent.futures import ThreadPoolExecutor

        with ThreadPoolExecutor(PARALLEL_READS) as pool:
            found = pool.map(self._manifest, wanted := sorted(digests))
            return {digest: manifest for digest, manifest in zip(wanted, found, strict=True) if manifest}

    def _manifest(self, digest: Digest) -> SiteManifest | None:
        try:
            answer = self._client.get(f"/v1/blobs/{digest}")
        except httpx.TransportError as problem:
            raise self._unreachable(problem) from None
        return None if answer.status_code == 404 else self._read("read a manifest", answer, SiteManifest)

    def is_alive(self) -> bool:
        """Whether it answers."""
        with suppress(httpx.HTTPError):
            return self._client.get("/healthz").status_code == 200
        return False

    def sweep(self, *, dry_run: bool, grace_days: int) -> SweepReport:
        """Let go of blobs that nothing alive names; it may take minutes."""
        wanted = {"dry_run": str(dry_run).lower(), "grace_days": str(grace_days)}
        try:
            answer = self._client.post("/v1/gc", params=wanted, timeout=httpx.Timeout(SWEEP_S, connect=10))
        except httpx.TransportError as problem:
            raise self._unreachable(problem) from None
        return self._read("sweep", answer, SweepReport)

    def upload_all(self, blobs: Sequence[Blob], advance: Advance) -> int:
        """Upload what is not there yet, several at once; how many bytes were sent. `advance` counts every byte."""
        return Transfers(self._client, self._url).upload(blobs, advance)

    def download_all(self, files: Mapping[Digest, Path], advance: Advance) -> None:
        """Fetch blobs into files, several at once; CommandFailed where one is not there, or its bytes are others."""
        Transfers(self._client, self._url).download(files, advance)

    def _get_if_any(self, what: str, path: str) -> httpx.Response | None:
        """What is at a path; None where the control plane has no such thing."""
        return self._if_any(what, self.get(path))

    def _if_any(self, what: str, answer: httpx.Response) -> httpx.Response | None:
        """The answer; None where the control plane, and not something before it, has no such thing."""
        if answer.status_code == 404 and answer.headers.get("content-type") == "application/problem+json":
            return None
        if not answer.is_success:
            raise CommandFailed(f"cannot {what}: {answers.why(answer)}")
        return answer

    def _ask(self, what: str, method: str, path: str, kind: type[T]) -> T:
        return self._read(what, self._request(method, path), kind)

    def _read(self, what: str, answer: httpx.Response, kind: type[T]) -> T:
        return answers.read(self._url, what, answer, kind)

    def _unreachable(self, problem: Exception) -> CommandFailed:
        return answers.unreachable(self._url, problem)


def _by_period(what: str, by: Period, count: int, site: SiteId | None) -> str:
    return f"/v1/{what}?by={by}&count={count}" + (f"&site={quote(site)}" if site else "")


def _require_safe(url: str) -> None:
    """Plain HTTP carries a token for everyone to read: only to this machine."""
    try:
        parts = httpx.URL(url)
    except httpx.InvalidURL as problem:
        raise CommandFailed(f"cannot use {url}: {problem}; write https://HOST[:PORT]") from None
    if parts.scheme == "https" and parts.host:
        return
    if parts.scheme == "http" and _is_loopback(parts.host):
        return
    raise CommandFailed(f"cannot use {url}: it must be https://…, or http:// to this machine only")


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    with suppress(ValueError):
        return ip_address(host.strip("[]")).is_loopback
    return False


def _trust(target: Target) -> ssl.SSLContext | bool:
    if not target.url.startswith("https:"):
        return True
    context = ssl.create_default_context()
    if target.ca:
        try:
            context.load_verify_locations(Path(target.ca).expanduser())
        except (OSError, ssl.SSLError) as problem:
            raise CommandFailed(f"cannot use the CA file {target.ca}: {problem}") from None
    return context


def _token_file(path: str) -> str:
    if not path:
        raise CommandFailed(
            "cannot tell who is asking: set NEOPRO_TOKEN or NEOPRO_TOKEN_FILE, or in the checkout: "
            "git config neopro.tokenfile PATH (on the server: neopro token add NAME)"
        )
    try:
        return Path(path).expanduser().read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as problem:
        raise CommandFailed(f"cannot read the token file {path}: {problem}") from None
