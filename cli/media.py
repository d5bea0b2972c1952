"""What a video file is made of, and whether a box can play it (H.264 or H.265 in MP4)."""

from pathlib import Path
from typing import Final

from cli.errors import CommandFailed
from schemas.desired import Media

PLAYABLE: Final = frozenset(("h264", "hevc"))


def facts(path: Path) -> Media | None:
    """The facts of a playable video; None where PyAV is not installed; CommandFailed says why a box cannot play it."""
    _require_mp4(path)
    try:
        import av
    except ImportError:
        return None
    try:
        with av.open(str(path)) as container:
            stream = next(iter(container.streams.video), None)
            if stream is None:
                raise CommandFailed(f"cannot add {path}: it has no picture")
            codec = stream.codec_context.name
            duration_s = round(container.duration / 1_000_000, 2) if container.duration else None
            media = Media(duration_s=duration_s, width=stream.width, height=stream.height, codec=codec)
    except av.error.FFmpegError as problem:
        raise CommandFailed(f"cannot add {path}: it is damaged or no video ({problem.strerror})") from None
    if codec not in PLAYABLE:
        raise CommandFailed(f"cannot add {path}: a box cannot play {codec}; convert it to H.264 (ffmpeg -c:v libx264)")
    return media


def _require_mp4(path: Path) -> None:
    try:
        with path.open("rb") as file:
            start = file.read(12)
    except OSError as problem:
        raise CommandFailed(f"cannot read {path}: {problem.strerror}") from None
    if path.suffix.lower() != ".mp4" or start[4:8] != b"ftyp":
        raise CommandFailed(f"cannot add {path}: it is not an MP4 file, and boxes play nothing else")
