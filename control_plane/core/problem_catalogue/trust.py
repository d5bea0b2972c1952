"""Signed documents in `trust/`: none of them can be shown as an example, since nobody can sign one by hand."""

from typing import Final

from control_plane.core.problem_catalogue.entry import Entry

TRUST: Final = (
    Entry(
        code="RootMissing",
        title="A trust root between two others is missing",
        means="`trust/root-N.json` is there and `root-(N-1).json` is not.",
        why="Boxes walk roots one by one: each is signed by the keys of the one before.",
        remedy="Put the file back; it is in the repository's history.",
    ),
    Entry(
        code="SignatureRefused",
        title="A document of trust/ that is not to be trusted",
        means="Its signatures do not hold, too few of its role's keys signed it, or its form is wrong.",
        why="Boxes would refuse it, and with it everything that follows.",
        remedy="Restore it from the repository's history, or sign it again with the right keys.",
    ),
    Entry(
        code="TrustMissing",
        title="No trust root, or no release list",
        means="`trust/` lacks `root-1.json` or a release list.",
        why="Without them no box can tell what it may believe and what it may run.",
        remedy="A new fleet makes both with `neopro keys init`; otherwise restore them from the repository's history.",
    ),
    Entry(
        code="TrustRewritten",
        title="A document of trust/ that was published is gone or changed",
        means="The published root or release list is no longer in the commit, or a newer number was taken back.",
        why="Boxes remember what they trusted: they refuse what does not follow from it. Whoever can push must "
        "not be able to take back a list, either.",
        remedy="Put the file back, and make the change as the next number beside it.",
    ),
)
