"""The trust documents of a commit: roots walked one by one, and the newest release list, by the rules of a box.

Nothing looks at a clock: whether a root or a list has expired is for those who publish and those who poll.
"""

from collections.abc import Mapping, Sequence
from typing import Literal

from msgspec import Struct

from control_plane.core.layout import TRUST_FILE
from control_plane.core.problem_codes import Code
from control_plane.core.problems import Problem
from schemas.dsse import Refused, decode_base64, open_envelope, strict_json
from schemas.names import Digest, Version
from schemas.trust import MAX_DOCUMENT_BYTES, ReleaseList, TrustRoot, read_release_list, read_root


class TrustDocument(Struct, frozen=True, kw_only=True):
    """A signed document as it lies in Git, to be handed to boxes."""

    kind: Literal["root", "release-list"]
    version: int
    envelope: bytes


class Trust(Struct, frozen=True, kw_only=True):
    """What `trust/` comes to: the newest root, the newest list, every document that verified."""

    root: TrustRoot | None = None
    release_list: ReleaseList | None = None
    documents: tuple[TrustDocument, ...] = ()
    problems: tuple[Problem, ...] = ()

    def allowed(self, kind: Literal["app", "agent"]) -> dict[Version, Digest]:
        """The releases that the newest list allows, and their trees."""
        releases = [] if self.release_list is None else self.release_list.releases
        return {release.version: release.tree for release in releases if release.kind == kind}


def read_trust(files: Mapping[str, bytes]) -> Trust:
    """Read the documents of `trust/` (path -> envelope)."""
    roots, lists = _by_version(files, "root"), _by_version(files, "release-list")
    if not roots:
        message = "there is no trust root (trust/root-1.json); make one with `neopro keys init`"
        return Trust(problems=(_problem("trust/", "TrustMissing", message),))
    root, documents, problem = _walk(roots)
    if problem is not None:
        return Trust(root=root, documents=documents, problems=(problem,))
    if root is None or not lists:
        message = "there is no release list (trust/release-list-1.json); make one with `neopro keys init`"
        return Trust(root=root, documents=documents, problems=(_problem("trust/", "TrustMissing", message),))
    return _with_lists(root, documents, lists)


def require_continued(trust: Sequence[TrustDocument], root: bytes, release_list: bytes) -> list[Problem]:
    """Problems of trust documents that do not go on from the published `root` and `release_list` (envelopes).

    Boxes would refuse what is signed under a root that does not follow theirs; whoever can push must not bring that
    about, nor take the release list back.
    """
    found = []
    envelopes = {(document.kind, document.version): document.envelope for document in trust}
    known = _version_of(root, TrustRoot)
    if envelopes.get(("root", known)) != root:
        message = f"root {known} is not the one that was published; put it back, and add root {known + 1} beside it"
        found.append(_problem(f"trust/root-{known}.json", "TrustRewritten", message))
    listed = _version_of(release_list, ReleaseList)
    newest = max((version for kind, version in envelopes if kind == "release-list"), default=0)
    if newest < listed or (newest == listed and envelopes["release-list", listed] != release_list):
        message = f"release list {listed} was published; put it back, and make changes as list {listed + 1}"
        found.append(_problem(f"trust/release-list-{listed}.json", "TrustRewritten", message))
    return found


def _version_of(envelope: bytes, kind: type[TrustRoot] | type[ReleaseList]) -> int:
    """The version in an envelope that was verified when it was published."""
    return strict_json(decode_base64(open_envelope(envelope, MAX_DOCUMENT_BYTES).payload), kind).version


def _by_version(files: Mapping[str, bytes], kind: str) -> dict[int, tuple[str, bytes]]:
    found = {}
    for path, data in files.items():
        match = TRUST_FILE.fullmatch(path)
        if match is not None and match[1] == kind:
            found[int(match[2])] = (path, data)
    return dict(sorted(found.items()))


def _walk(roots: Mapping[int, tuple[str, bytes]]) -> tuple[TrustRoot | None, tuple[TrustDocument, ...], Problem | None]:
    """Each root by its predecessor; stops at the first that does not hold."""
    trusted: TrustRoot | None = None
    documents: list[TrustDocument] = []
    for version, (path, data) in roots.items():
        if trusted is not None and version != trusted.version + 1:
            message = f"root {trusted.version + 1} is missing: boxes walk roots one by one; put its file back"
            return trusted, tuple(documents), _problem(path, "RootMissing", message)
        try:
            root = read_root(data, trusted)
        except Refused as refusal:
            return trusted, tuple(documents), _refused(path, refusal)
        if root.version != version:
            message = f"the file holds root {root.version}; name it root-{root.version}.json"
            return trusted, tuple(documents), _problem(path, "NameMismatch", message)
        trusted = root
        documents.append(TrustDocument(kind="root", version=version, envelope=data))
    return trusted, tuple(documents), None


def _with_lists(root: TrustRoot, documents: tuple[TrustDocument, ...], lists: Mapping[int, tuple[str, bytes]]) -> Trust:
    """Only the newest list counts: older ones may be signed by keys that have been rotated out since."""
    version = max(lists)
    path, data = lists[version]
    try:
        newest = read_release_list(data, root)
    except Refused as refusal:
        return Trust(root=root, documents=documents, problems=(_refused(path, refusal),))
    if newest.version != version:
        message = f"the file holds list {newest.version}; name it release-list-{newest.version}.json"
        return Trust(root=root, documents=documents, problems=(_problem(path, "NameMismatch", message),))
    document = TrustDocument(kind="release-list", version=version, envelope=data)
    return Trust(root=root, release_list=newest, documents=(*documents, document))


def _refused(path: str, refusal: Refused) -> Problem:
    message = f"this document is not to be trusted: {refusal}; sign it again with the right keys"
    return _problem(path, "SignatureRefused", message)


def _problem(file: str, code: Code, message: str) -> Problem:
    return Problem(file=file, line=1, column=1, severity="error", code=code, message=message)
