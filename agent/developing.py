"""Owns the program that unpacks pictures, and packs what a model is shown of them: one picture, then it ends."""

import base64
import io
import json
import resource
import struct
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict
from typing import TYPE_CHECKING, cast

from agent.blocks import Image
from agent.pictures import Form, Grid, Picture, Unshowable

if TYPE_CHECKING:
    from PIL.Image import Image as Pixels
    from PIL.ImageFile import ImageFile

_MOST_MEMORY = 2 << 30  # bytes of addresses
_MOST_PIXELS = 50_000_000
_LONGEST = 2000  # pixels of a side; where many pictures are shown at once, some servers refuse more
_MOST_BYTES = 750_000  # a million characters of base64

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


def main(arguments: Sequence[str]) -> None:
    """Develop what stands on stdin, as JSON on stdout. The arguments: the kind of picture, and what is wanted of it.

    That is nothing, or `shown`, or its colours on a grid of so many columns and rows at most: `80x40`.
    """
    with suppress(OSError, ValueError):  # where the system has no such limit
        resource.setrlimit(resource.RLIMIT_AS, (_MOST_MEMORY, _MOST_MEMORY))
    kind, wanted = arguments
    columns, by, rows = wanted.partition("x")
    try:
        raw = sys.stdin.buffer.read()
        if by:
            told = asdict(sampled(raw, cast("Form", kind), (int(columns), int(rows))))
        else:
            told = asdict(developed(raw, cast("Form", kind), shown=bool(wanted)))
    except Unshowable as fault:
        told = {"fault": str(fault)}
    sys.stdout.write(json.dumps(told))


def developed(raw: bytes, kind: Form, *, shown: bool) -> Picture:
    """Return a picture, and what is shown of it. Raises Unshowable, without words where the picture is broken."""
    try:
        return _made(raw, kind, shown=shown)
    except _BROKEN:
        raise Unshowable("") from None


def sampled(raw: bytes, kind: Form, most: tuple[int, int]) -> Grid:
    """Return the colours of a picture on a grid as large as may be. Raises Unshowable, without words where it is broken."""
    try:
        with _opened(raw, kind) as (opened, whole, turn):
            opened.draft("", most)
            opened.load()
            pixels = _on_white(_upright(_plain(opened), turn)).convert("RGB")
        size = _scaled(whole, min(most[0] / whole[0], most[1] / whole[1], 1.0))
        return Grid(*size, base64.b64encode(_sized(pixels, size).tobytes()).decode())
    except _BROKEN:
        raise Unshowable("") from None


@contextmanager
def _opened(raw: bytes, kind: Form) -> "Iterator[tuple[ImageFile, tuple[int, int], object]]":
    """Open a picture; yield it with its size and how its camera was held."""
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
            yield opened, (width, height), turn
    except DecompressionBombError:
        raise Unshowable(f"is a {kind} picture of far too many pixels; make it smaller first") from None


def _made(raw: bytes, kind: Form, *, shown: bool) -> Picture:
    with _opened(raw, kind) as (opened, (width, height), turn):
        if not shown:
            return Picture(kind, width, height, len(raw))
        moving = bool(getattr(opened, "is_animated", False))
        opened.draft("", (_LONGEST, _LONGEST))  # a JPEG can be decoded smaller at once
        opened.load()
        pixels = _upright(_plain(opened), turn)
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
        scale, lossless = scale * 0.75, False
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
