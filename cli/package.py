"""A package of a release on disk (a folder or a tar archive), read by the rules of `control_plane.core.packaging`."""

import hashlib
import os
import stat
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from cli.errors import CommandFailed
from control_plane.core.packaging import VERSION_SOURCES, EntryKind, PackageEntry, Selection, listing, select
from control_plane.core.packaging import declared_version as _declared
from schemas.manifest import FileTree, TreeFile
from schemas.names import Digest


class Package(NamedTuple):
    """A package, judged: `files` says where the bytes of each kept file lie now, by their path on the box."""

    selection: Selection
    files: dict[str, Path]

    @property
    def declared_version(self) -> str | None:
        """The version that the package gives itself."""
        return _declared({path: self.files[path].read_bytes() for path in VERSION_SOURCES if path in self.files})


def read_package(path: Path, scratch: Path) -> Package:
    """The package at `path`; an archive's kept files are unpacked into `scratch`. CommandFailed names what is wrong."""
    try:
        package = _read_folder(path) if path.is_dir() else _read_archive(path, scratch)
    except FileNotFoundError:
        raise CommandFailed(f"cannot add {path}: there is no such file or folder") from None
    except (OSError, tarfile.TarError) as problem:
        raise CommandFailed(f"cannot add {path}: it is no folder and no readable tar archive ({problem})") from None
    if package.selection.refused:
        reasons = "; ".join(f"{dropped.path}: {dropped.why}" for dropped in package.selection.refused[:5])
        more = len(package.selection.refused) - 5
        raise CommandFailed(f"cannot add {path}: {reasons}" + (f"; and {more} more" if more > 0 else ""), status=1)
    return package


def list_tree(package: Package) -> FileTree:
    """The listing of the package's kept files, with their digests."""
    return listing(
        TreeFile(
            path=file.path,
            mode=file.mode,
            size_bytes=package.files[file.path].stat().st_size,
            digest=file_digest(package.files[file.path]),
        )
        for file in package.selection.kept
    )


def file_digest(path: Path) -> Digest:
    """The digest of a file's bytes; CommandFailed where it cannot be read."""
    try:
        with path.open("rb") as file:
            return "sha256:" + hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as problem:
        raise CommandFailed(f"cannot read {path}: {problem.strerror}") from None


def _read_folder(root: Path) -> Package:
    selection = select(_folder_entries(root))
    return Package(selection, {file.path: root / file.source for file in selection.kept})


def _folder_entries(root: Path) -> Iterator[PackageEntry]:
    for folder, folders, files in os.walk(root, onerror=_give_up):
        for name in sorted(folders + files):
            path = Path(folder, name)
            mode = path.lstat().st_mode
            kind = _kind(stat.S_ISREG(mode), stat.S_ISDIR(mode), stat.S_ISLNK(mode))
            relative = path.relative_to(root).as_posix()
            yield PackageEntry(path=relative, kind=kind, executable=bool(mode & stat.S_IXUSR))


def _read_archive(path: Path, scratch: Path) -> Package:
    with tarfile.open(path) as archive:
        members = {member.name: member for member in archive}
        selection = select(_archive_entries(archive))
        files: dict[str, Path] = {}
        for number, file in enumerate(selection.kept if not selection.refused else ()):
            # The names of an archive never touch the disk: only a number does.
            files[file.path] = scratch / str(number)
            content = archive.extractfile(members[file.source])
            with files[file.path].open("wb") as out:
                while content and (chunk := content.read(1 << 20)):
                    out.write(chunk)
    return Package(selection, files)


def _archive_entries(archive: tarfile.TarFile) -> Iterator[PackageEntry]:
    for member in archive.getmembers():
        # A hard link is a link: its target could lie outside of what was checked.
        kind = _kind(member.isreg(), member.isdir(), member.issym() or member.islnk())
        yield PackageEntry(path=member.name, kind=kind, executable=bool(member.mode & stat.S_IXUSR))


def _kind(is_file: bool, is_folder: bool, is_link: bool) -> EntryKind:
    return "file" if is_file else "folder" if is_folder else "link" if is_link else "other"


def _give_up(problem: OSError) -> None:
    raise problem
