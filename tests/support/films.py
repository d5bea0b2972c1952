"""Short real videos of every kind, also of kinds that no box plays."""

from pathlib import Path
from typing import Any, NamedTuple

import av


class Film(NamedTuple):
    """What to make: `frames` pictures of changing grey, and silence where `sound` names a codec."""

    codec: str = "libx264"
    width: int = 320
    height: int = 180
    pixels: str = "yuv420p"
    rate: int = 25
    frames: int = 25
    container: str = "mp4"
    sound: str = ""


def make_film(path: Path, film: Film) -> Path:
    """Write it."""
    with av.open(str(path), "w", format=film.container) as container:
        quiet = {"x265-params": "log-level=none:bframes=0"} if film.codec == "libx265" else {}
        fast = {"preset": "ultrafast"} if film.codec.startswith("libx26") else {}
        picture: Any = container.add_stream(film.codec, rate=film.rate, options=fast | quiet) if film.frames else None
        sound: Any = container.add_stream(film.sound, rate=48_000) if film.sound else None
        for number in range(film.frames):
            if number == 0:
                picture.width, picture.height, picture.pix_fmt = film.width, film.height, film.pixels
            frame = av.VideoFrame(film.width, film.height, film.pixels)
            frame.pts = number
            for plane in frame.planes:
                plane.update(bytes([number * 9 % 255]) * plane.buffer_size)
            container.mux(picture.encode(frame))
        if picture:
            container.mux(picture.encode())
        if sound:
            container.mux(sound.encode(_silence()))
            container.mux(sound.encode())
    return path


def _silence() -> "av.AudioFrame":
    frame = av.AudioFrame(format="fltp", layout="stereo", samples=1536)
    frame.rate = 48_000
    for plane in frame.planes:
        plane.update(bytes(plane.buffer_size))
    return frame
