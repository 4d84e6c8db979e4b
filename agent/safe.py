"""Owns the one door of hostile text: what could act or hide is made visible, half characters are mended."""

import re

# Control characters but tab and newline, C1, bidi marks, zero-width and other invisible characters, tags, lone surrogates.
_HOSTILE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u061c\u115f\u1160\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164"
    "\ufe00-\ufe0e\ufeff\uffa0\ufff9-\ufffb\U000e0000-\U000e0fff\ud800-\udfff]"
)


def _shown(match: re.Match[str]) -> str:
    code = ord(match[0])
    if code < 0x20:
        return chr(0x2400 + code)
    if code == 0x7F:
        return "\u2421"
    return f"\\u{{{code:x}}}"


def safe_text(text: str) -> str:
    """Return the text with every character visible that a terminal would obey or hide."""
    return _HOSTILE.sub(_shown, text.replace("\r\n", "\n"))


def safe_line(text: str) -> str:
    """Return the text as one safe line."""
    return safe_text(text.replace("\n", "\u240a").replace("\t", " "))


def mended(text: str) -> str:
    """Return the text with surrogate pairs as the characters that they mean, and lone halves as U+FFFD."""
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text
