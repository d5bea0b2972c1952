"""`make screenshots`: the pages of a believable fleet, as pictures for docs/images/.

python -m tests.browser [--into docs/images] [NAME ...]
"""

import argparse
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

import httpx
import msgspec

from tests.browser.chromium import PHONE, Visitor, running_browser, visitor, why_not
from tests.support.postgres import newest_and_oldest
from tests.support.published import report
from tests.support.stoppable_postgres import stoppable_postgres
from tests.support.watched_fleet import WatchedFleet, watched_fleet
from tests.support.watched_places import Place, places
from tests.support.watched_reports import said_of

IMAGES: Final = Path(__file__).resolve().parents[2] / "docs" / "images"
MOST_BYTES: Final = 200_000
PATIENCE_MS: Final = 60_000


class Picture(NamedTuple):
    """A page as somebody sees it; `paper`: printed."""

    address: str
    how: dict[str, Any]
    paper: bool = False


DARK: Final = {"color_scheme": "dark"}
WIDE: Final = {"viewport": {"width": 1280, "height": 960}}
LOW: Final = {"viewport": {"width": 1280, "height": 760}}
"""For what would make too large a file."""
SHEET: Final = {"viewport": {"width": 800, "height": 1130}}
PICTURES: Final = {
    "fleet": Picture("/?lang=en", WIDE),
    "map": Picture("/map?lang=en", LOW),
    "site": Picture("/sites/vannes-rugby?lang=en", WIDE),
    "rollouts": Picture("/rollouts?lang=en", LOW),
    "alerts": Picture("/alerts?lang=en", DARK | WIDE),
    "acceptance": Picture("/sites/brest-handball/acceptance?lang=fr", SHEET, paper=True),
    "phone": Picture("/?lang=fr", DARK | {"viewport": PHONE, "device_scale_factor": 2, "is_mobile": True}),
}


def main() -> int:
    """The exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.browser")
    parser.add_argument("--into", type=Path, default=IMAGES)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(PICTURES))
    given = parser.parse_args()
    if reason := why_not():
        print(f"cannot take pictures: {reason}", file=sys.stderr)
        return 2
    given.into.mkdir(parents=True, exist_ok=True)
    with _fleet() as fleet, running_browser() as browser:
        for name in given.names or PICTURES:
            picture = PICTURES[name]
            with visitor(browser, fleet.url, fleet.cookies, **picture.how) as reader:
                file = given.into / f"{name}.png"
                _take(reader, picture, file, fleet)
            size = file.stat().st_size
            print(f"{file}: {size // 1000} kB")
            if size > MOST_BYTES:
                print(f"{file} is larger than {MOST_BYTES // 1000} kB; show less of the page", file=sys.stderr)
                return 1
    return 0


def _take(reader: Visitor, picture: Picture, file: Path, fleet: WatchedFleet) -> None:
    page = reader.goes_to(picture.address.format_map(fleet.addresses))
    if picture.paper:
        page.emulate_media(media="print")
    elif page.locator("#live").count():
        page.locator("#live.on").wait_for(timeout=PATIENCE_MS)
    page.screenshot(path=str(file))


@contextmanager
def _fleet() -> Iterator[WatchedFleet]:
    """The fleet without what is there to be hard to show."""
    with (
        tempfile.TemporaryDirectory() as scratch,
        stoppable_postgres(Path(scratch) / "database", newest_and_oldest()[0]) as database,
        watched_fleet(Path(scratch) / "world", database.conninfo) as fleet,
    ):
        [place] = [one for one in places() if one.town == "Besançon"]
        short = {**place.document, "name": "Besançon FC", "club": "Besançon FC"}
        text = fleet.served.world.site_file(place.site, **short)
        fleet.served.publish({f"sites/{place.site}.yaml": text}, "Call the club of Besançon by its short name")
        _is_well(fleet, place)
        fleet.served.run(_never_alerted(fleet, place))
        yield fleet


def _is_well(fleet: WatchedFleet, place: Place) -> None:
    world = fleet.served.world
    head = httpx.get(f"{fleet.url}/v1/sites/{place.site}/head", headers=world.headers(place.site), trust_env=False)
    generation = int(head.headers["etag"].strip('"').partition("-")[0])
    said = said_of("Dijon", generation, world.clock(), fleet.release("2.1.3"))
    body = msgspec.json.encode(report(**{"at": world.clock(), "sequence": 100, **said}))
    path = f"{fleet.url}/v1/sites/{place.site}/status"
    httpx.post(path, content=body, headers=world.headers(place.site), trust_env=False).raise_for_status()


async def _never_alerted(fleet: WatchedFleet, place: Place) -> None:
    async with fleet.served.world.connection() as conn:
        await conn.execute("delete from alerts where subject = %s", (place.site,))


if __name__ == "__main__":
    sys.exit(main())
