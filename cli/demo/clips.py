"""Short real videos (H.264 in MP4) for the demo: a coloured ground, the video's name in blocks, a bar that moves.

Frames are drawn straight into the planes of YUV 4:2:0, so that no imaging library is needed.
"""

import os
import unicodedata
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from cli.errors import CommandFailed

WIDTH: Final = 640
HEIGHT: Final = 360
FRAMES_A_SECOND: Final = 25

# Five columns of seven bits a letter, lowest bit on top.
_LETTERS: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-"
_COLUMNS: Final = bytes.fromhex(
    "7e1111117e 7f49494936 3e41414122 7f4141221c 7f49494941 7f09090901 3e4149497a 7f0808087f 00417f4100 "
    "2040413f01 7f08142241 7f40404040 7f020c027f 7f0408107f 3e4141413e 7f09090906 3e4151215e 7f09192946 "
    "4649494931 01017f0101 3f4040403f 1f2040201f 3f4038403f 6314081463 0708700807 6151494543 3e5149453e "
    "00427f4000 4261514946 2141454b31 1814127f10 2745454539 3c4a494930 0171090503 3649494936 064949291e "
    "0808080808"
)
_FONT: Final = {letter: _COLUMNS[5 * index : 5 * index + 5] for index, letter in enumerate(_LETTERS)}


class Colour(NamedTuple):
    """A colour in limited-range YUV (ITU-R BT.601), 0 to 255 each."""

    y: int
    u: int
    v: int


class Clip(NamedTuple):
    """One video to make: `name` is drawn, line by line at its spaces."""

    file: str
    name: str
    colour: tuple[int, int, int]
    duration_s: float = 4.0


_PALETTE: Final = (
    (11, 61, 145),
    (200, 40, 90),
    (0, 120, 90),
    (240, 180, 20),
    (110, 50, 160),
    (220, 90, 30),
    (20, 140, 200),
    (130, 30, 30),
    (70, 130, 40),
    (90, 90, 100),
    (250, 130, 150),
    (30, 40, 60),
)


def clip_of(video: str, name: str) -> Clip:
    """The clip of a video in the library: its colour and its length follow from its id."""
    seed = zlib.crc32(video.encode())
    return Clip(f"{video}.mp4", name, _PALETTE[seed % len(_PALETTE)], duration_s=3 + seed // 12 % 4)


def make_clip(clip: Clip, folder: Path) -> Path:
    """The clip's file in `folder`, made unless it is there: whole or not at all."""
    target = folder / clip.file
    if not target.exists():
        folder.mkdir(parents=True, exist_ok=True)
        staged = folder / f".{clip.file}.{os.getpid()}"
        try:
            _encode(clip, staged)
            staged.replace(target)
        finally:
            staged.unlink(missing_ok=True)
    return target


def _encode(clip: Clip, target: Path) -> None:
    try:
        import av
    except ImportError:
        raise CommandFailed("cannot make videos: PyAV is not installed; set up with: make demo") from None

    with av.open(str(target), "w", format="mp4", options={"movflags": "+faststart"}) as container:
        # One thread: the same bytes on every run of one version of the encoder.
        options = {"preset": "veryfast", "crf": "30", "threads": "1", "x264-params": "threads=1"}
        stream = container.add_stream("libx264", rate=FRAMES_A_SECOND, options=options)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for number, planes in enumerate(_frames(clip)):
            frame = av.VideoFrame(WIDTH, HEIGHT, "yuv420p")
            frame.pts = number
            for plane, rows in zip(frame.planes, planes, strict=True):
                plane.update(_padded(rows, plane.line_size))
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def _frames(clip: Clip) -> Iterator[tuple[Sequence[bytes], Sequence[bytes], Sequence[bytes]]]:
    """The rows of the three planes, frame by frame; only the rows of the bar change."""
    ground = _yuv(clip.colour)
    ink = 235 if ground.y < 140 else 16
    still = _lettering(_words(clip.name), ground.y, ink)
    u, v = [bytes([ground.u]) * (WIDTH // 2)] * (HEIGHT // 2), [bytes([ground.v]) * (WIDTH // 2)] * (HEIGHT // 2)
    count = int(clip.duration_s * FRAMES_A_SECOND)
    for number in range(count):
        length = WIDTH * (number + 1) // count
        bar = bytes([ink]) * length + bytes([ground.y]) * (WIDTH - length)
        yield [*still[:-12], *[bar] * 12], u, v


def _words(name: str) -> list[str]:
    """The words of a name in the letters that can be drawn: capitals without accents."""
    return unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().upper().split() or ["-"]


def _lettering(words: Sequence[str], ground: int, ink: int) -> list[bytes]:
    """The rows of the luma plane with `words` in its middle, one a line, as large as they fit."""
    longest = max(len(word) for word in words)
    size = max(1, min((WIDTH - 40) // (6 * longest), (HEIGHT - 60) // (9 * len(words))))
    empty = bytes([ground]) * WIDTH
    rows = [empty] * ((HEIGHT - 9 * size * len(words)) // 2)
    for word in words:
        rows += [empty] * size
        for bit in range(7):
            rows += [_text_row(word, bit, size, ground, ink)] * size
        rows += [empty] * size
    return rows + [empty] * (HEIGHT - len(rows))


def _text_row(word: str, bit: int, size: int, ground: int, ink: int) -> bytes:
    columns = b"".join(_FONT.get(letter, bytes(5)) + b"\0" for letter in word)[:-1]
    pixels = b"".join(bytes([ink if column >> bit & 1 else ground]) * size for column in columns)
    left = (WIDTH - len(pixels)) // 2
    return bytes([ground]) * left + pixels + bytes([ground]) * (WIDTH - left - len(pixels))


def _padded(rows: Sequence[bytes], line_size: int) -> bytes:
    return b"".join(row.ljust(line_size, b"\0") for row in rows)


def _yuv(rgb: tuple[int, int, int]) -> Colour:
    red, green, blue = rgb
    return Colour(
        y=round(16 + 0.257 * red + 0.504 * green + 0.098 * blue),
        u=round(128 - 0.148 * red - 0.291 * green + 0.439 * blue),
        v=round(128 + 0.439 * red - 0.368 * green - 0.071 * blue),
    )
