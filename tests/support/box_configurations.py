"""Configurations as boxes have them, manifests for them, and ways to make many of both."""

import json
from datetime import date
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from schemas.manifest import Category, CategoryVideo, ContentFile, Loops, SiteManifest, SubCategory
from schemas.names import digest_of

SAMPLES = ("club-handball", "example", "template")
TODAY = date(2026, 11, 23)
Item = dict[str, Any]


def sample(name: str) -> Item:
    """One of the configurations that boxes start from."""
    loaded: Item = json.loads((Path(__file__).parent / "box" / f"{name}.json").read_bytes())
    return loaded


def video(name: str, **changed: Any) -> CategoryVideo:
    """A central video; its file lies under its own name."""
    return CategoryVideo(**{"name": name.title(), "path": f"videos/NEOPRO/{name}.mp4", "video_id": name} | changed)


def category(*videos: CategoryVideo, id: str = "annonces_neopro", **changed: Any) -> Category:
    """A central category."""
    return Category(**{"id": id, "name": "ANNONCES NEOPRO", "videos": list(videos)} | changed)


def manifest(*categories: Category, **changed: Any) -> SiteManifest:
    """A manifest with these categories; its content is what they and the loops name."""
    loops = changed.get("loops", Loops())
    shown = [v for c in categories for v in [*c.videos, *(v for s in c.subcategories for v in s.videos)]]
    shown += [*loops.sponsors, *loops.before, *loops.during, *loops.after]
    content = [ContentFile(path=p, digest=digest_of(p.encode()), size_bytes=1) for p in sorted({v.path for v in shown})]
    return SiteManifest(
        schema=1,
        poll_interval_s=60,
        timezone="Europe/Paris",
        categories=list(categories),
        content=content,
        **changed,
    )


def paths_of(wanted: SiteManifest) -> frozenset[str]:
    """Every file of a manifest, as if all were installed."""
    return frozenset(file.path for file in wanted.content)


# Hypothesis

CLUB_IDS = ["match", "annonces_neopro", "Match SM1", "focus/é", "annonces_neopro_club", "pub"]
CENTRAL_IDS = ["annonces_neopro", "pub", "neopro-2"]
_words = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=8)
club_entries = st.fixed_dictionaries(
    {"name": _words, "path": st.sampled_from([f"videos/CLUB/{n}.mp4" for n in range(6)]), "type": st.just("video/mp4")},
    optional={"locked": st.just(False), "owner": st.just("club"), "filename": _words, "stars": st.integers()},
)
central_names = st.sampled_from(["nike", "decathlon", "fdj"])
central_entries = st.builds(
    lambda name, extra: {"name": name, "path": f"videos/NEOPRO/{name}.mp4", "video_id": name} | extra,
    central_names,
    st.sampled_from([{"locked": True}, {"owner": "neopro"}, {"locked": True, "owner": "neopro", "sponsor_id": "old"}]),
)
entry_lists = st.lists(club_entries | central_entries, max_size=4)
sub_categories = st.fixed_dictionaries({"id": st.sampled_from(CLUB_IDS), "name": _words, "videos": entry_lists})
categories = st.fixed_dictionaries(
    {"id": st.sampled_from(CLUB_IDS), "name": _words},
    optional={
        "videos": entry_lists,
        "subCategories": st.lists(sub_categories, max_size=2),
        "locked": st.booleans(),
        "color": _words,
    },
)
blocks = st.fixed_dictionaries(
    {"id": st.sampled_from(["before", "during", "after"]), "name": _words},
    optional={
        "categoryIds": st.lists(st.sampled_from(CLUB_IDS), unique=True, max_size=3),
        "loopVideos": entry_lists,
        "owner": st.just("neopro"),
    },
)
configurations = st.fixed_dictionaries(
    {},
    optional={
        "auth": st.fixed_dictionaries({"password": _words}),
        "remote": st.fixed_dictionaries({"title": _words}),
        "settings": st.dictionaries(st.sampled_from(["language", "timezone"]), _words),
        "sponsors": entry_lists,
        "categories": st.lists(categories, max_size=4),
        "timeCategories": st.lists(blocks, max_size=3, unique_by=lambda b: b["id"]),
        "categoryMappings": st.dictionaries(st.sampled_from(CLUB_IDS), _words, max_size=2),
        "liveScoreEnabled": st.booleans(),
        "anything": st.recursive(st.none() | st.integers() | _words, lambda s: st.lists(s, max_size=2), max_leaves=3),
    },
)
_days = st.none() | st.dates(date(2026, 11, 20), date(2026, 11, 26))
central_videos = st.builds(
    lambda name, from_, until, version: video(
        name, path=f"videos/NEOPRO/{name}{version}.mp4", from_=from_, until=until
    ),
    central_names,
    _days,
    _days,
    st.sampled_from(["", "-2"]),
)
_videos = st.lists(central_videos, max_size=3, unique_by=lambda v: v.video_id)
_subs = st.builds(lambda videos: SubCategory(id="partenaires", name="Partenaires", videos=videos), _videos)
_central = st.builds(
    lambda id, videos, subs, shown: category(*videos, id=id, subcategories=subs, blocks=shown),
    st.sampled_from(CENTRAL_IDS),
    _videos,
    st.lists(_subs, max_size=1),
    st.lists(st.sampled_from(["before", "during", "after"]), unique=True),
)
manifests = st.builds(
    lambda categories, sponsors, during, config: manifest(
        *categories, loops=Loops(sponsors=sponsors, during=during), config=config
    ),
    st.lists(_central, max_size=3, unique_by=lambda c: c.id),
    _videos,
    _videos,
    st.fixed_dictionaries(
        {}, optional={"liveScoreEnabled": st.booleans(), "settings": st.just({"language": "en", "theme": "dark"})}
    ),
)


@st.composite
def worlds(draw: st.DrawFn) -> tuple[Item, SiteManifest, frozenset[str]]:
    """A local configuration, a manifest, and which files are installed: of this manifest, of older ones, of neither."""
    local, wanted = draw(configurations), draw(manifests)
    files = sorted(paths_of(wanted) | {f"videos/NEOPRO/{n}.mp4" for n in ("nike", "decathlon", "fdj")})
    return local, wanted, frozenset(draw(st.sets(st.sampled_from(files))))
