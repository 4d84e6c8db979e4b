"""Owns bytes as text and back, without loss: encoding, byte order mark, line ends; and what bytes are that are no text."""

import codecs
import re
from dataclasses import dataclass

from agent.errors import ToolFailure

_BOMS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))
_KINDS = (
    (b"\x89PNG\r\n\x1a\n", "a PNG image"),
    (b"\xff\xd8\xff", "a JPEG image"),
    (b"GIF8", "a GIF image"),
    (b"%PDF-", "a PDF document"),
    (b"PK\x03\x04", "a ZIP archive (or an office document)"),
    (b"\x1f\x8b", "a gzip file"),
    (b"BZh", "a bzip2 file"),
    (b"\xfd7zXZ\0", "an xz file"),
    (b"\x28\xb5\x2f\xfd", "a zstd file"),
    (b"\x7fELF", "an ELF program or library"),
    (b"SQLite format 3\0", "an SQLite database"),
    (b"\0asm", "a WebAssembly module"),
    (b"\xca\xfe\xba\xbe", "a Java class or a macOS program"),
    (b"\xcf\xfa\xed\xfe", "a macOS program or library"),
    (b"MZ", "a Windows program or library"),
    (b"wOF2", "a font"),
    (b"RIFF", "a RIFF file (WebP, WAV or AVI)"),
    (b"OggS", "an Ogg file"),
)
_CONTROLS = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f]")


@dataclass(frozen=True, slots=True)
class Decoded:
    """Text, and what gives its bytes back."""

    text: str
    encoding: str
    bom: bytes
    newline: str


def decode(raw: bytes) -> Decoded | None:
    """Return the text that bytes are, or None where they are none."""
    bom, encoding = next(((mark, name) for mark, name in _BOMS if raw.startswith(mark)), (b"", "utf-8"))
    body = raw[len(bom) :]
    if not encoding.startswith("utf-16") and b"\0" in body:
        return None
    try:
        text = body.decode(encoding)
    except UnicodeDecodeError:
        if bom or len(_CONTROLS.findall(body)) * 50 > len(body):
            return None
        encoding, text = "latin-1", body.decode("latin-1")
    if text.encode(encoding) != body:
        return None
    return Decoded(text, encoding, bom, line_end(text))


def encode(text: str, encoding: str, bom: bytes, shown: str) -> bytes:
    """Return the bytes of a text. Raises ToolFailure where the encoding has no such character."""
    try:
        return bom + text.encode(encoding)
    except UnicodeEncodeError as error:
        character = text[error.start]
        if 0xD800 <= ord(character) <= 0xDFFF:
            raise ToolFailure(f"Nothing was written: \\u{ord(character):04x} is half a character; send the whole one.") from None
        raise ToolFailure(
            f"Nothing was written: {shown} is no UTF-8, so it cannot take {character!r}; convert it with iconv first."
        ) from None


def line_end(text: str) -> str:
    """Return the line end that most lines have; a newline where there is none."""
    windows = text.count("\r\n")
    unix = text.count("\n") - windows
    mac = text.count("\r") - windows
    return max((("\n", unix), ("\r\n", windows), ("\r", mac)), key=lambda pair: pair[1])[0]


def with_line_ends(text: str, newline: str) -> str:
    """Return a text that has plain newlines with those of a file."""
    return text if newline == "\n" else text.replace("\r\n", "\n").replace("\n", newline)


def kind(raw: bytes) -> str:
    """Say what bytes are that are no text."""
    return next((words for magic, words in _KINDS if raw.startswith(magic)), "binary data")
