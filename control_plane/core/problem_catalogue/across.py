"""Several documents that do not hold together."""

from typing import Final

from control_plane.core.problem_catalogue.entry import Entry, Sample

_SITE: Final = "name: Brest\nlocation: {city: Brest, region: Bretagne}\n"
_KEY: Final = "identity: ed25519:PaoemJ+IOwOl8zvMMAlYwW1Hf7D9Q31fAN7AdHbO8f0=\n"
_FEEBLE: Final = "identity: ed25519:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n"
_AGE: Final = "age154e7m59vjv75k826wdythaa926jazzknksd2yzv8jcygtvfkg4xq6qd0lq"
_RECIPIENT: Final = f"recipient: {_AGE}\n"
_RESTORE: Final = f"restore: sha256:{'ab' * 32}\n"
_FLEET: Final = f"schema: 1\ndefaults:\n  release: 2.1.3\n  video_sets: [national]\nrecovery: {_AGE}\n"
_REBOOT: Final = "target: {site: brest}\naction: reboot\nnot_after: 2026-11-24T06:00:00+01:00\n"
_ARENA: Final = "videos: [noel]\n"


def _site(more: str) -> tuple[Sample]:
    return (Sample("sites/brest.yaml", _SITE + more),)


def _group(name: str, more: str) -> Sample:
    return Sample(f"groups/{name}.yaml", f"name: {name}\n{more}")


ACROSS: Final = (
    Entry(
        code="BlobMissing",
        title="The file behind a digest is not in the object store",
        means="A video or a release is named whose bytes nobody uploaded, or a release whose listing is none.",
        why="Boxes would look for it in vain. The server asks its object store before it publishes.",
        remedy="Upload it: `neopro video add FILE`, `neopro release add PATH`.",
    ),
    Entry(
        code="CategoryConflict",
        title="Two video sets write one category differently",
        means="Two sets use one category, with another name or other capitals.",
        why="The box's remote shows each category once, under one name.",
        remedy="Write id and name the same in both.",
        wrong=(
            Sample("video-sets/a.yaml", "name: A\ncategory: {id: arena, name: ARENA}\n" + _ARENA),
            Sample("video-sets/b.yaml", "name: B\ncategory: {id: arena, name: Arena}\n" + _ARENA),
        ),
        right=(
            Sample("video-sets/a.yaml", "name: A\ncategory: {id: arena, name: ARENA}\n" + _ARENA),
            Sample("video-sets/b.yaml", "name: B\ncategory: {id: arena, name: ARENA}\n" + _ARENA),
        ),
    ),
    Entry(
        code="DuplicateIdentity",
        title="Two sites have one key",
        means="The same `identity` stands in two files.",
        why="Each box has a key of its own; with one key either box could speak for the other.",
        remedy="Copy the line that `neopro-agent identity` prints on each box.",
        wrong=(Sample("sites/brest.yaml", _SITE + _KEY), Sample("sites/brest-2.yaml", _SITE + _KEY)),
        right=(Sample("sites/brest.yaml", _SITE + _KEY), Sample("sites/brest-2.yaml", _SITE)),
    ),
    Entry(
        code="DuplicateRecipient",
        title="Two sites have one key for secrets",
        means="The same `recipient` stands in two files.",
        why="A box could read what is meant for another one.",
        remedy="Copy the line of each box into its own file.",
        wrong=(Sample("sites/brest.yaml", _SITE + _RECIPIENT), Sample("sites/brest-2.yaml", _SITE + _RECIPIENT)),
        right=(Sample("sites/brest.yaml", _SITE + _RECIPIENT), Sample("sites/brest-2.yaml", _SITE)),
    ),
    Entry(
        code="EqualPriorityConflict",
        title="Two groups of one priority disagree",
        means="A site is in two groups of the same priority that set one key differently, and no higher layer decides.",
        why="The order of files must not decide what a box gets.",
        remedy="Give one of the groups another priority, or set the key in a higher layer (a group above, the site).",
        wrong=(
            _group("west", "priority: 40\nselect: {region: Bretagne}\nrelease: 2.1.3\n"),
            _group("clubs", "priority: 40\nsites: [rennes]\nrelease: 2.2.0\n"),
        ),
        right=(
            _group("west", "priority: 40\nselect: {region: Bretagne}\nrelease: 2.1.3\n"),
            _group("clubs", "priority: 41\nsites: [rennes]\nrelease: 2.2.0\n"),
        ),
    ),
    Entry(
        code="IdentityRevoked",
        title="A site has a key that is revoked",
        means="`revoked.yaml` lists the identity that this site's file has.",
        why="The box is refused; whoever took the key cannot speak for the site.",
        remedy="Give the box a new key and write it into the site's file, or take the line out of `revoked.yaml`.",
        severities=("warning",),
        wrong=(*_site(_KEY), Sample("revoked.yaml", f"identities: ['{_KEY.split()[1]}']\n")),
        right=(*_site(""), Sample("revoked.yaml", f"identities: ['{_KEY.split()[1]}']\n")),
    ),
    Entry(
        code="MissingFile",
        title="There is no fleet.yaml",
        means="The repository lacks the one file that makes it a fleet.",
        why="It says the version of the language and holds the lowest layer.",
        remedy="Write one with at least `schema: 1`, or look whether it was deleted or renamed.",
    ),
    Entry(
        code="MissingReference",
        title="A name of something that does not exist",
        means="A document names a site, group, video, video set, release, calendar, policy or tenant that there "
        "is not.",
        why="It would have no effect, or leave a hole on the box.",
        remedy="Correct the name to the nearest known one, which the message names, or add what is missing.",
        wrong=_site("video_sets: [natoinal]\n"),
        right=_site("video_sets: [national]\n"),
    ),
    Entry(
        code="NameMismatch",
        title="A file named after another version than it holds",
        means="A release's file, or a document of `trust/`, says one version in its name and another inside.",
        why="References go by the name, boxes by what is inside.",
        remedy="Make the two the same.",
    ),
    Entry(
        code="RecipientMissing",
        title="A site that could not read its secrets",
        means="A layer gives the site a hotspot, or its file a backup to put back, and the file names no `recipient`.",
        why="Nothing can be encrypted to the box, and what is encrypted to others it cannot read.",
        remedy="Write the `recipient: age1…` line of the box into the site's file.",
        wrong=_site(_RESTORE),
        right=_site(_RESTORE + _RECIPIENT),
    ),
    Entry(
        code="RecoveryMissing",
        title="Backups with no key to encrypt them to",
        means="A layer asks for backups, and fleet.yaml has no `recovery`.",
        why="A backup holds the club's password; it leaves the box encrypted or not at all.",
        remedy="Write the team's recovery key into fleet.yaml: `recovery: age1…`.",
        wrong=_site("backup: {videos: false}\n"),
        right=(Sample("fleet.yaml", _FLEET), *_site("backup: {videos: false}\n")),
    ),
    Entry(
        code="ReleaseNotAllowed",
        title="A release that the newest release list does not allow",
        means="The release's file is there, and nobody signed it into the list that boxes check. Where a layer "
        "names it that is an error, where its file only lies there a warning.",
        why="No box would run it.",
        remedy="Sign it with `neopro release add`, or name another release.",
        severities=("error", "warning"),
    ),
    Entry(
        code="ReleaseRevoked",
        title="A release that is revoked",
        means="A layer names a release that `revoked.yaml` lists.",
        why="It must not run anywhere.",
        remedy="Name another release.",
        wrong=(*_site("release: 2.2.0\n"), Sample("revoked.yaml", "releases: [2.2.0]\n")),
        right=(*_site("release: 2.1.3\n"), Sample("revoked.yaml", "releases: [2.2.0]\n")),
    ),
    Entry(
        code="ReleaseTreeDiffers",
        title="A release with another tree than the signed one",
        means="The digest in the release's file is not the one in the release list.",
        why="Either the file or the list was changed alone; boxes trust the list.",
        remedy="Restore the file, or make the release anew under a new version.",
    ),
    Entry(
        code="RequirementNotMet",
        title="A site that cannot run the release it is given",
        means="The release needs other hardware, or a newer agent.",
        why="It would fail on the box and be rolled back.",
        remedy="Give the site another release, or raise `agent`.",
    ),
    Entry(
        code="SelectorMatchesNothing",
        title="A selector that matches no site",
        means="No site has the values that the group asks for; they are compared exactly, capitals and accents "
        "included.",
        why="Mostly a value is misspelt.",
        remedy="Correct it. A group that waits for its first site may stay: this is a warning.",
        severities=("warning",),
        wrong=(_group("west", "priority: 40\nselect: {region: bretagne}\n"),),
        right=(_group("west", "priority: 40\nselect: {region: Bretagne}\n"),),
    ),
    Entry(
        code="SiteWithoutRelease",
        title="A site without a release",
        means="The site is in no group, and neither it nor `defaults` names a release.",
        why="The box would have nothing to run.",
        remedy="Write `release: VERSION` into the site or into `defaults`, or put the site into a group.",
        wrong=(Sample("fleet.yaml", "schema: 1\n"),),
        right=(Sample("fleet.yaml", "schema: 1\ndefaults: {release: 2.1.3}\n"),),
    ),
    Entry(
        code="WeakKey",
        title="A key that proves nothing",
        means="The identity is a point of small order, not on the curve, or written in more than one way.",
        why="Anybody can make signatures that such a key accepts.",
        remedy="Copy the line that `neopro-agent identity` prints on the box.",
        wrong=_site(_FEEBLE),
        right=_site(_KEY),
    ),
    Entry(
        code="TargetNotActive",
        title="An operation for a site that does nothing",
        means="The target of the operation is suspended or retired.",
        why="Its box was told to stop converging, and runs no operation.",
        remedy="Delete the operation, or make the site active again.",
        severities=("warning",),
        wrong=(
            Sample("sites/brest.yaml", _SITE + "state: retired\n"),
            Sample("operations/restart.yaml", _REBOOT),
        ),
        right=(Sample("sites/brest.yaml", _SITE), Sample("operations/restart.yaml", _REBOOT)),
    ),
)
