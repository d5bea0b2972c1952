"""Which films a box plays, and what is said of those that it does not."""

from io import BytesIO
from pathlib import Path

import av
import pytest

from cli.errors import CommandFailed
from cli.media import look_at
from schemas.desired import Media
from tests.support.films import Film, make_film

PLAYED = {
    "h264": (Film(), Media(duration_s=1.0, width=320, height=180, codec="h264")),
    "h264-upright": (Film(width=1080, height=1920, frames=2), None),
    "h264-with-sound": (Film(sound="aac"), None),
    "h265-4k": (Film("libx265", 3840, 2160, frames=2), Media(duration_s=0.08, width=3840, height=2160, codec="hevc")),
    "h265-10-bit": (Film("libx265", pixels="yuv420p10le"), None),
    "one-picture": (Film(frames=1), None),
    "60-a-second": (Film(rate=60), None),
}
REFUSED = {
    "h264-1440p": (Film(width=2560, height=1440, frames=2), "2560x1440, and a box plays H.264 up to 1920x1080"),
    "h265-8k": (Film("libx265", 4096, 2304, frames=2), "a box plays H.265 up to 3840x2160"),
    "h264-10-bit": (Film(pixels="yuv420p10le"), "H.264 as yuv420p10le, only 8-bit 4:2:0"),
    "h264-444": (Film(pixels="yuv444p"), "H.264 as yuv444p"),
    "mpeg4": (Film("mpeg4"), "a box cannot play mpeg4"),
    "120-a-second": (Film(rate=120), "it has 120 pictures a second"),
    "ac3": (Film(sound="ac3"), "a box cannot play its sound, ac3"),
    "quicktime": (Film(container="mov"), "it is not an MP4 file"),
    "matroska": (Film(container="matroska"), "it is not an MP4 file"),
}


@pytest.mark.parametrize("name", PLAYED)
def test_film_that_boxes_play_is_described_and_pictured(tmp_path: Path, name: str) -> None:
    film, media = PLAYED[name]
    seen = look_at(make_film(tmp_path / "a.mp4", film))
    assert seen
    assert media is None or seen.media == media
    assert (seen.media.width, seen.media.height) == (film.width, film.height)
    with av.open(BytesIO(seen.thumbnail), format="jpeg_pipe") as picture:
        [frame] = picture.decode(video=0)
    assert max(frame.width, frame.height) == 320
    assert abs(frame.width / frame.height - film.width / film.height) < 0.02


def test_same_film_has_the_same_picture(tmp_path: Path) -> None:
    film = make_film(tmp_path / "a.mp4", Film(width=1280, height=720))
    assert look_at(film) == look_at(film)


@pytest.mark.parametrize("name", REFUSED)
def test_film_that_no_box_plays_is_refused_with_the_command_that_converts_it(tmp_path: Path, name: str) -> None:
    film, says = REFUSED[name]
    with pytest.raises(CommandFailed, match=says) as refused:
        look_at(make_film(tmp_path / "a film.mp4", film))
    assert "; convert it: ffmpeg -i 'a film.mp4' " in str(refused.value)
    assert str(refused.value).endswith(" 'a film-box.mp4'")


def test_sound_alone_is_no_film(tmp_path: Path) -> None:
    with pytest.raises(CommandFailed, match="it has no picture"):
        look_at(make_film(tmp_path / "a.mp4", Film(frames=0, sound="aac")))


@pytest.mark.parametrize("share", [0.5, 0.9, 0.99])
def test_copy_that_broke_off_is_damaged(tmp_path: Path, share: float) -> None:
    whole = make_film(tmp_path / "a.mp4", Film(frames=100))
    data = whole.read_bytes()
    # `moov` first, as most films that are made for the web: a player could begin, and would stop in the middle.
    with av.open(str(whole)) as source, av.open(str(tmp_path / "b.mp4"), "w", options={"movflags": "faststart"}) as out:
        stream = out.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.size:
                packet.stream = stream
                out.mux(packet)
    data = (tmp_path / "b.mp4").read_bytes()
    (tmp_path / "c.mp4").write_bytes(data[: int(len(data) * share)])
    with pytest.raises(CommandFailed, match="it is damaged"):
        look_at(tmp_path / "c.mp4")
    assert look_at(tmp_path / "b.mp4")


@pytest.mark.parametrize("content", [b"", b"no video", b"\0\0\0\x18ftypisom", b"\0\0\0\x18ftypisom" + bytes(4096)])
def test_file_that_is_no_film_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.mp4").write_bytes(content)
    with pytest.raises(CommandFailed, match="cannot add "):
        look_at(tmp_path / "a.mp4")
