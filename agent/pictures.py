"""Owns pictures: which bytes are one, and how it is made ready to be shown to a model."""

import base64
import binascii
import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from agent.blocks import Image
from agent.errors import JumarError

LARGEST = 32 << 20  # bytes of a file
MOST = 20  # pictures that go with one prompt

_SECONDS = 30.0  # that one may take
_PROGRAM = "import sys; sys.path.insert(0, sys.argv[1]); from agent.developing import main; main(sys.argv[2:])"

Form = Literal["PNG", "JPEG", "WebP", "GIF", "BMP", "TIFF"]
FORMS = f"{', '.join(get_args(Form)[:-1])} or {get_args(Form)[-1]}"
_BEGINNINGS: tuple[tuple[bytes, Form], ...] = (
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"\xff\xd8\xff", "JPEG"),
    (b"GIF87a", "GIF"),
    (b"GIF89a", "GIF"),
    (b"BM", "BMP"),
    (b"II*\0", "TIFF"),
    (b"MM\0*", "TIFF"),
)


class Unshowable(JumarError):
    """Why a picture cannot be shown, in words that follow its name."""


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture file: what it is, and what a model is shown of it. `image` is None where nothing is to be shown."""

    form: Form
    width: int
    height: int
    size: int  # bytes of the file
    moving: bool = False  # of more than one frame, of which the first is shown
    image: Image | None = None
    shown: tuple[int, int] = (0, 0)

    @property
    def words(self) -> str:
        """Say what the file is."""
        return f"{self.form} picture, {self.width}×{self.height}, {amount(self.size)}"

    @property
    def remarks(self) -> str:
        """Say how what is shown differs from it."""
        smaller = f", reduced to {self.shown[0]}×{self.shown[1]}" if self.shown != (self.width, self.height) else ""
        return f"{smaller}{', its first frame only' if self.moving else ''}"


@dataclass(frozen=True, slots=True)
class Grid:
    """The colours of a picture, row by row: three bytes each, in base64."""

    width: int
    height: int
    colours: str

    @property
    def rows(self) -> list[list[tuple[int, int, int]]]:
        """Each row, a colour a column: red, green and blue."""
        raw, size = base64.b64decode(self.colours), 3 * self.width
        lines = [raw[start : start + size] for start in range(0, size * self.height, size)]
        return [[(line[at], line[at + 1], line[at + 2]) for at in range(0, size, 3)] for line in lines]


def form(raw: bytes) -> Form | None:
    """Tell from the bytes which kind of picture they are; None where they are none that can be shown."""
    if raw[:4] == b"RIFF" and raw[8:12] == b"WEBP":
        return "WebP"
    return next((name for beginning, name in _BEGINNINGS if raw.startswith(beginning)), None)


def given(content: str) -> bytes:
    """Return the bytes of a picture that came as base64, or as a data URI of it. Raises Unshowable."""
    try:
        raw = base64.b64decode(content.partition(",")[2] if content.startswith("data:") else content, validate=True)
    except (binascii.Error, ValueError):
        raise Unshowable("is no base64") from None
    return raw


def picture(raw: bytes, *, shown: bool) -> Picture:
    """Look at a picture; where it is to be shown, make it ready: upright, bare of metadata, not too large. Raises Unshowable.

    A stranger's bytes are unpacked by a program of their own, whose memory and time are bounded. It is waited for: call it
    in a thread.
    """
    if not raw:
        raise Unshowable("is empty")
    if len(raw) > LARGEST:
        raise Unshowable(f"has more than {LARGEST >> 20} MB; make it smaller first")
    kind = form(raw)
    if kind is None:
        raise Unshowable(f"is no picture that can be shown: that is {FORMS}")
    told = _developed(raw, kind, "shown" if shown else "")
    image = Image(**told["image"]) if told["image"] else None
    return Picture(**{**told, "image": image, "shown": tuple(told["shown"])})


def grid(image: Image, columns: int, rows: int) -> Grid:
    """Return the colours of a picture on a grid of at most that size; as `picture` does it. Raises Unshowable."""
    raw = given(image.content)
    kind = form(raw)
    if kind is None or len(raw) > LARGEST:
        raise Unshowable(f"is no picture that can be shown: that is {FORMS}")
    return Grid(**_developed(raw, kind, f"{columns}x{rows}"))


def _developed(raw: bytes, kind: Form, wanted: str) -> dict[str, Any]:
    """Return what the program that unpacks pictures tells of one. Raises Unshowable."""
    broken = f"is a broken {kind} picture of {amount(len(raw))}: cut off, or no such picture inside"
    place = str(Path(__file__).parents[1])
    command = [sys.executable, "-I", "-W", "ignore", "-c", _PROGRAM, place, kind, wanted]
    try:
        ended = subprocess.run(
            command, input=raw, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd="/", env={}, timeout=_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        raise Unshowable(f"is a {kind} picture that takes more than {_SECONDS:g} s to unpack") from None
    except OSError as error:
        raise Unshowable(f"cannot be looked at: {error.strerror}") from error
    if ended.returncode > 0:
        raise Unshowable("cannot be looked at: the program that unpacks pictures does not run")
    told: dict[str, Any] = json.loads(ended.stdout or '{"fault": ""}')
    if "fault" in told:
        raise Unshowable(told["fault"] or broken)
    return told


def amount(size: int) -> str:
    """Say how many bytes there are."""
    if size < 1000:
        return f"{size} bytes"
    return f"{size / 1000:.0f} kB" if size < 1_000_000 else f"{size / 1_000_000:.1f} MB"
