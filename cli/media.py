"""What a video file is made of, whether a box can play it, and a small picture of it.

A box shows videos in a browser on a Raspberry Pi: MP4 files with H.264 in 8 bits, 4:2:0, up to 1920x1080 (a Pi 4
decodes no more; a Pi 5 has no decoder for H.264 at all and its processor copes with that size), or with H.265 in 8 or
10 bits, 4:2:0, up to 3840x2160; at most 60 pictures a second. Sound, if there is any, is one that the browser knows.
"""

import shlex
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from cli.errors import CommandFailed
from schemas.desired import Media

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream


class Codec(NamedTuple):
    """A kind of picture that boxes decode, and up to where."""

    name: str
    formats: frozenset[str]
    long_side: int
    short_side: int


CODECS: Final = {
    "h264": Codec("H.264", frozenset(("yuv420p", "yuvj420p")), 1920, 1088),
    "hevc": Codec("H.265", frozenset(("yuv420p", "yuvj420p", "yuv420p10le")), 3840, 2160),
}
"""1088: some encoders do not crop what they pad 1080 lines to."""
SOUNDS: Final = frozenset(("aac", "mp3", "mp3float", "opus", "libopus", "flac"))
MAX_RATE: Final = 60.5
THUMBNAIL_SIDE: Final = 320
"""Pixels of the longer side of a thumbnail."""
_TO_H264: Final = "-c:v libx264 -pix_fmt yuv420p -c:a aac"
_SMALLER: Final = f"-vf scale=1920:1080:force_original_aspect_ratio=decrease:force_divisible_by=2 {_TO_H264}"
_SLOWER: Final = f"-r 50 {_TO_H264}"
_COPY: Final = "-c copy"
_SOUND: Final = "-c:v copy -c:a aac"


class Look(NamedTuple):
    """The facts of a video, and a JPEG of it."""

    media: Media
    thumbnail: bytes


def look_at(path: Path) -> Look | None:
    """What is in a video that boxes can play; None where PyAV is not installed: then only its container was looked at.

    CommandFailed says why a box cannot play it, and how to convert it. The whole file is read.
    """
    _require_mp4(path)
    try:
        import av
    except ImportError:
        return None
    try:
        with av.open(str(path)) as container:
            stream = _picture(container, path)
            media = _facts(container, stream, path)
            _require_playable(container, stream, media, path)
            thumbnail = _thumbnail(container, stream, path)
            _require_whole(container, stream, path)
    except (av.error.FFmpegError, av.error.InvalidDataError) as problem:
        raise _refused(path, f"it is damaged or no video ({problem.strerror})") from None
    return Look(media, thumbnail)


def _require_mp4(path: Path) -> None:
    try:
        with path.open("rb") as file:
            start = file.read(12)
    except OSError as problem:
        raise CommandFailed(f"cannot read {path}: {problem.strerror}") from None
    if path.suffix.lower() != ".mp4" or start[4:8] != b"ftyp" or start[8:12] == b"qt  ":
        raise _refused(path, "it is not an MP4 file, and boxes play nothing else", _COPY)


def _picture(container: "InputContainer", path: Path) -> "VideoStream":
    """The first video that is no cover picture."""
    from av.stream import Disposition

    for stream in container.streams.video:
        if not stream.disposition & Disposition.attached_pic:
            return stream
    raise _refused(path, "it has no picture")


def _facts(container: "InputContainer", stream: "VideoStream", path: Path) -> Media:
    duration_s = round((container.duration or 0) / 1_000_000, 2)
    if duration_s <= 0:
        raise _refused(path, "it has no duration, so there is nothing to play")
    codec = stream.codec_context
    if not codec.width or not codec.height:
        raise _refused(path, "it is damaged: its picture has no size")
    return Media(duration_s=duration_s, width=codec.width, height=codec.height, codec=codec.name)


def _require_playable(container: "InputContainer", stream: "VideoStream", media: Media, path: Path) -> None:
    name, form = stream.codec_context.name, stream.codec_context.pix_fmt
    codec = CODECS.get(name)
    if codec is None:
        raise _refused(path, f"a box cannot play {name}", _TO_H264)
    if form not in codec.formats:
        raise _refused(path, f"a box cannot play {codec.name} as {form}, only 8-bit 4:2:0", _TO_H264)
    short, long = sorted((media.width or 0, media.height or 0))
    if long > codec.long_side or short > codec.short_side:
        most = "1920x1080" if codec.short_side == 1088 else f"{codec.long_side}x{codec.short_side}"
        raise _refused(path, f"it is {media.width}x{media.height}, and a box plays {codec.name} up to {most}", _SMALLER)
    if stream.average_rate and stream.average_rate > MAX_RATE:
        rate = f"{float(stream.average_rate):.0f}"
        raise _refused(path, f"it has {rate} pictures a second, and a box plays up to 60", _SLOWER)
    for sound in container.streams.audio:
        if sound.codec_context.name not in SOUNDS:
            raise _refused(path, f"a box cannot play its sound, {sound.codec_context.name}", _SOUND)


def _require_whole(container: "InputContainer", stream: "VideoStream", path: Path) -> None:
    """Every picture that the file announces is in it: a copy that broke off has fewer."""
    container.seek(0)
    found = sum(1 for packet in container.demux(stream) if packet.size and not packet.is_corrupt)
    if found < stream.frames:
        raise _refused(path, f"it is damaged: only {found} of its {stream.frames} pictures are in it; copy it again")


def _thumbnail(container: "InputContainer", stream: "VideoStream", path: Path) -> bytes:
    """A JPEG of a picture after a third of the video (the first one is often black), else of the first."""
    stream.thread_count = 1
    container.seek((container.duration or 0) // 3)
    frame = next(container.decode(stream), None)
    if frame is None:
        container.seek(0)
        frame = next(container.decode(stream), None)
    if frame is None:
        raise _refused(path, "it is damaged: no picture of it can be decoded")
    return _jpeg(frame)


def _jpeg(frame: "VideoFrame") -> bytes:
    """The same bytes for the same picture: one thread, no name of the encoder, one quality."""
    import av
    from av.codec.context import Flags

    scale = THUMBNAIL_SIDE / max(frame.width, frame.height)
    width, height = (max(2, round(side * scale / 2) * 2) for side in (frame.width, frame.height))
    small = frame.reformat(width=width, height=height, format="yuvj420p", interpolation="AREA")
    small.pts = 0
    encoder = av.CodecContext.create("mjpeg", "w")
    encoder.width, encoder.height, encoder.pix_fmt, encoder.time_base = width, height, "yuvj420p", Fraction(1, 25)
    encoder.thread_count = 1
    encoder.options = {"qmin": "4", "qmax": "4"}
    encoder.flags |= Flags.bitexact
    return b"".join(bytes(packet) for packet in [*encoder.encode(small), *encoder.encode(None)])


def _refused(path: Path, why: str, conversion: str = "") -> CommandFailed:
    how = ""
    if conversion:
        source, target = shlex.quote(path.name), shlex.quote(f"{path.stem}-box.mp4")
        how = f"; convert it: ffmpeg -i {source} {conversion} {target}"
    return CommandFailed(f"cannot add {path}: {why}{how}")
