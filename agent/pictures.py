"""Owns pictures: which bytes are one, and how it is made ready to be shown to a model."""

import base64
import binascii
import io
import struct
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

from agent.blocks import Image
from agent.errors import JumarError

if TYPE_CHECKING:
    from PIL.Image import Image as Pixels

LARGEST = 32 << 20  # bytes of a file
MOST = 20  # pictures that go with one prompt

_MOST_PIXELS = 50_000_000
_LONGEST = 2000  # pixels of a side; where many pictures are shown at once, some servers refuse more
_MOST_BYTES = 750_000  # a million characters of base64

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
# What Pillow lets out of files that are broken, or made to break it.
_BROKEN = (
    ArithmeticError,
    AttributeError,
    EOFError,
    LookupError,
    MemoryError,
    OSError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
    struct.error,
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
        return f"{self.form} picture, {self.width}×{self.height}, {_amount(self.size)}"

    @property
    def remarks(self) -> str:
        """Say how what is shown differs from it."""
        smaller = f", reduced to {self.shown[0]}×{self.shown[1]}" if self.shown != (self.width, self.height) else ""
        return f"{smaller}{', its first frame only' if self.moving else ''}"


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

    Takes its time, and most of it outside the interpreter's lock: it is for a thread, one picture after the other.
    """
    if not raw:
        raise Unshowable("is empty")
    if len(raw) > LARGEST:
        raise Unshowable(f"has more than {LARGEST >> 20} MB; make it smaller first")
    kind = form(raw)
    if kind is None:
        raise Unshowable(f"is no picture that can be shown: that is {FORMS}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's remarks on odd files, which would stand on the person's screen
            return _made(raw, kind, shown=shown)
    except _BROKEN:
        raise Unshowable(f"is a broken {kind} picture of {_amount(len(raw))}: cut off, or no such picture inside") from None


def _made(raw: bytes, kind: Form, *, shown: bool) -> Picture:
    # Named one by one: Pillow's own search loads three dozen more, and no other is to read what a stranger made.
    from PIL import BmpImagePlugin, GifImagePlugin, JpegImagePlugin, PngImagePlugin, TiffImagePlugin, WebPImagePlugin
    from PIL.Image import DecompressionBombError

    opening = {
        "PNG": PngImagePlugin.PngImageFile,
        "JPEG": JpegImagePlugin.JpegImageFile,
        "WebP": WebPImagePlugin.WebPImageFile,
        "GIF": GifImagePlugin.GifImageFile,
        "BMP": BmpImagePlugin.BmpImageFile,
        "TIFF": TiffImagePlugin.TiffImageFile,
    }
    try:
        with opening[kind](io.BytesIO(raw)) as opened:
            width, height = opened.size
            if width * height > _MOST_PIXELS:
                raise Unshowable(
                    f"is a {kind} picture of {width}×{height}, more than {_MOST_PIXELS // 1_000_000} million pixels; "
                    "make it smaller first"
                )
            turn = opened.getexif().get(0x0112)
            if turn in {5, 6, 7, 8}:
                width, height = height, width
            if not shown:
                return Picture(kind, width, height, len(raw))
            moving = bool(getattr(opened, "is_animated", False))
            opened.draft("", (_LONGEST, _LONGEST))  # a JPEG can be decoded smaller at once
            opened.load()
            pixels = _upright(_plain(opened), turn)
    except DecompressionBombError:
        raise Unshowable(f"is a {kind} picture of far too many pixels; make it smaller first") from None
    image, size = _encoded(pixels, lossless=kind != "JPEG", whole=(width, height))
    return Picture(kind, width, height, len(raw), moving, image, size)


def _plain(pixels: "Pixels") -> "Pixels":
    """Return the pixels as grey, RGB or RGBA, with nothing beside them."""
    if pixels.mode in {"I", "F"} or pixels.mode.startswith("I;"):
        plain = _spread(pixels.convert("F"))
    else:
        clear = "A" in pixels.mode or "a" in pixels.mode or "transparency" in pixels.info
        mode = "RGBA" if clear else "L" if pixels.mode in {"1", "L"} else "RGB"
        plain = pixels if pixels.mode == mode else pixels.convert(mode)
        if clear and plain.getchannel("A").getextrema() == (255, 255):
            plain = plain.convert("RGB")
    plain.info = {}
    return plain


def _spread(pixels: "Pixels") -> "Pixels":
    """Return numbers of any range as grey, from black for the least to white for the most."""
    low, high = pixels.getextrema()
    if isinstance(low, tuple) or isinstance(high, tuple):
        raise TypeError("one number a pixel was due")
    factor = 255 / (high - low) if high > low else 0.0
    return pixels.point(lambda value: value * factor + -low * factor).convert("L")


def _upright(pixels: "Pixels", turn: object) -> "Pixels":
    """Turn a picture as its camera was held."""
    from PIL.Image import Transpose

    turns = {
        2: Transpose.FLIP_LEFT_RIGHT,
        3: Transpose.ROTATE_180,
        4: Transpose.FLIP_TOP_BOTTOM,
        5: Transpose.TRANSPOSE,
        6: Transpose.ROTATE_270,
        7: Transpose.TRANSVERSE,
        8: Transpose.ROTATE_90,
    }
    return pixels.transpose(turns[turn]) if isinstance(turn, int) and turn in turns else pixels


def _encoded(pixels: "Pixels", *, lossless: bool, whole: tuple[int, int]) -> tuple[Image, tuple[int, int]]:
    """Return the picture at the largest size, and in the best quality, that may be sent; and that size."""
    scale = min(1.0, _LONGEST / max(whole))
    pixels = _sized(pixels, size := _scaled(whole, scale))
    while True:
        if lossless and len(content := _saved(pixels, "PNG")) <= _MOST_BYTES:
            return Image("image/png", base64.b64encode(content).decode()), size
        opaque = _on_white(pixels)
        for quality in (90, 75):
            if len(content := _saved(opaque, "JPEG", quality)) <= _MOST_BYTES:
                return Image("image/jpeg", base64.b64encode(content).decode()), size
        scale *= 0.75
        pixels = _sized(pixels, size := _scaled(whole, scale))


def _scaled(whole: tuple[int, int], scale: float) -> tuple[int, int]:
    return max(1, round(whole[0] * scale)), max(1, round(whole[1] * scale))


def _sized(pixels: "Pixels", size: tuple[int, int]) -> "Pixels":
    from PIL.Image import Resampling

    return pixels if pixels.size == size else pixels.resize(size, Resampling.LANCZOS, reducing_gap=2.0)


def _on_white(pixels: "Pixels") -> "Pixels":
    from PIL.Image import new

    if pixels.mode != "RGBA":
        return pixels
    opaque = new("RGB", pixels.size, "white")
    opaque.paste(pixels, mask=pixels)
    return opaque


def _saved(pixels: "Pixels", encoding: str, quality: int = 0) -> bytes:
    written = io.BytesIO()
    if encoding == "PNG":
        pixels.save(written, encoding)
    else:
        pixels.save(written, encoding, quality=quality, subsampling=0)
    return written.getvalue()


def _amount(size: int) -> str:
    if size < 1000:
        return f"{size} bytes"
    return f"{size / 1000:.0f} kB" if size < 1_000_000 else f"{size / 1_000_000:.1f} MB"
