"""A package of a release on disk (a folder or an archive), read by the rules of `control_plane.core.packaging`."""

import hashlib
import lzma
import os
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from io import BytesIO
from pathlib import Path
from typing import IO, Final, NamedTuple

from cli.errors import CommandFailed
from control_plane.core.packaging import (
    EntryKind,
    PackageEntry,
    ReleaseKind,
    Selection,
    listing,
    select,
)
from schemas import versions
from schemas.manifest import FileTree, TreeFile
from schemas.names import Digest

MAX_ENTRIES: Final = 100_000
MAX_UNPACKED_BYTES: Final = 4 << 30
_ZIP: Final = b"PK\x03\x04"
_ZSTD: Final = b"\x28\xb5\x2f\xfd"


class Package(NamedTuple):
    """A package, judged: `files` says where the bytes of each kept file lie now, by their path on the box."""

    selection: Selection
    files: dict[str, Path]

    @property
    def declared_version(self) -> str | None:
        """The version that the package gives itself."""
        said = {path: self.files[path].read_bytes() for path in versions.VERSION_SOURCES if path in self.files}
        return versions.declared_version(said)


def read_package(path: Path, scratch: Path, release: ReleaseKind = "app") -> Package:
    """The package at `path`; an archive's kept files are unpacked into `scratch`. CommandFailed names what is wrong."""
    try:
        package = _read_folder(path, release) if path.is_dir() else _read_archive(path, scratch, release)
    except FileNotFoundError:
        raise CommandFailed(f"cannot add {path}: there is no such file or folder") from None
    except (
        OSError,
        EOFError,
        lzma.LZMAError,
        tarfile.TarError,
        zipfile.BadZipFile,
        zlib.error,
        NotImplementedError,
    ) as problem:
        raise CommandFailed(f"cannot add {path}: it is no folder and no readable tar or zip ({problem})") from None
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


def _read_folder(root: Path, release: ReleaseKind) -> Package:
    selection = select(_folder_entries(root), release)
    return Package(selection, {file.path: root / file.source for file in selection.kept})


def _folder_entries(root: Path) -> Iterator[PackageEntry]:
    for folder, folders, files in os.walk(root, onerror=_give_up):
        for name in sorted(folders + files):
            path = Path(folder, name)
            mode = path.lstat().st_mode
            kind = _kind(stat.S_ISREG(mode), stat.S_ISDIR(mode), stat.S_ISLNK(mode))
            relative = path.relative_to(root).as_posix()
            yield PackageEntry(path=relative, kind=kind, executable=bool(mode & stat.S_IXUSR))


def _read_archive(path: Path, scratch: Path, release: ReleaseKind) -> Package:
    with ExitStack() as opened:
        archive = _open(path, scratch, opened)
        selection = select(_bounded(path, archive), release)
        files: dict[str, Path] = {}
        for number, file in enumerate(selection.kept if not selection.refused else ()):
            # The names of an archive never touch the disk: only a number does.
            files[file.path] = scratch / str(number)
            with archive.read(file.source) as content, files[file.path].open("wb") as out:
                shutil.copyfileobj(content, out, 1 << 20)
    return Package(selection, files)


class _Member(NamedTuple):
    """An entry of an archive; `size_bytes` when it is unpacked."""

    entry: PackageEntry
    size_bytes: int


class _Archive(NamedTuple):
    """An archive of whatever kind: its entries, and one's bytes."""

    members: Callable[[], Iterator[_Member]]
    read: Callable[[str], IO[bytes]]


def _open(path: Path, scratch: Path, opened: ExitStack) -> _Archive:
    """A zip, or a tar: plain or compressed by gzip, bzip2, xz or zstd; by what it holds, not by its name."""
    with path.open("rb") as file:
        start = file.read(4)
    if start == _ZIP:
        return _zip_archive(opened.enter_context(zipfile.ZipFile(path)))
    if start == _ZSTD:
        path = _without_zstd(path, scratch / "archive.tar")
    return _tar_archive(opened.enter_context(tarfile.open(path)))


def _without_zstd(path: Path, target: Path) -> Path:
    import zstandard

    with path.open("rb") as source, target.open("wb") as out:
        reader = zstandard.ZstdDecompressor(max_window_size=1 << 31).stream_reader(source, read_across_frames=True)
        try:
            while chunk := reader.read(1 << 20):
                out.write(chunk)
                if out.tell() > MAX_UNPACKED_BYTES:
                    raise CommandFailed(f"cannot add {path}: it unpacks to more than {MAX_UNPACKED_BYTES >> 30} GiB")
        except zstandard.ZstdError as problem:
            raise tarfile.ReadError(str(problem)) from None
    return target


def _tar_archive(archive: tarfile.TarFile) -> _Archive:
    members: dict[str, tarfile.TarInfo] = {}

    def list_members() -> Iterator[_Member]:
        for member in archive:
            members[member.name] = member
            # A hard link is a link: its target could lie outside of what was checked.
            kind = _kind(member.isreg(), member.isdir(), member.issym() or member.islnk())
            entry = PackageEntry(path=member.name, kind=kind, executable=bool(member.mode & stat.S_IXUSR))
            yield _Member(entry, member.size)

    return _Archive(list_members, lambda name: archive.extractfile(members[name]) or BytesIO())


def _zip_archive(archive: zipfile.ZipFile) -> _Archive:
    def list_members() -> Iterator[_Member]:
        for member in archive.infolist():
            if member.flag_bits & 1:
                raise zipfile.BadZipFile(f"{member.filename} is encrypted")
            mode = member.external_attr >> 16  # as Unix has it; 0 where the archive was made elsewhere
            plain = stat.S_IFMT(mode) in (0, stat.S_IFREG)
            kind = _kind(plain and not member.is_dir(), member.is_dir(), stat.S_ISLNK(mode))
            entry = PackageEntry(path=member.filename, kind=kind, executable=bool(mode & stat.S_IXUSR))
            yield _Member(entry, member.file_size)

    return _Archive(list_members, archive.open)


def _bounded(path: Path, archive: _Archive) -> Iterator[PackageEntry]:
    """The entries; CommandFailed when they are more, or unpack to more, than any release."""
    total = 0
    for number, member in enumerate(archive.members()):
        total += member.size_bytes
        if number >= MAX_ENTRIES or total > MAX_UNPACKED_BYTES:
            raise CommandFailed(
                f"cannot add {path}: it has more than {MAX_ENTRIES} entries, or {MAX_UNPACKED_BYTES >> 30} GiB unpacked"
            )
        yield member.entry


def _kind(is_file: bool, is_folder: bool, is_link: bool) -> EntryKind:
    return "file" if is_file else "folder" if is_folder else "link" if is_link else "other"


def _give_up(problem: OSError) -> None:
    raise problem
