"""Owns the one door of hostile text: what could act or hide is made visible, half characters are mended."""

import re
import unicodedata
from collections import Counter
from dataclasses import dataclass

# Control characters but tab and newline, C1, bidi marks, zero-width and other invisible characters, tags, lone surrogates.
_HIDDEN = (
    "\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b\u200e\u200f\u2028-\u202e"
    "\u2060-\u206f\u3164\ufe00-\ufe0e\ufeff\uffa0\ufff0-\ufffb\U00013430-\U0001343f\U0001bca0-\U0001bca3"
    "\U0001d173-\U0001d17a\U000e0000-\U000e0fff\ud800-\udfff"
)
_PICTURES = "\u2190-\u21ff\u2300-\u23ff\u24c2\u25a0-\u27bf\u2934\u2935\u2b00-\u2bff\u3030\u303d\u3297\u3299\U0001f000-\U0001faff"
_SIGNS = "\u00a9\u00ae\u203c\u2049\u2122\u2139"
_JOINED = "\u0600-\u06ff\u0750-\u077f\u0900-\u0dff"  # scripts that cannot be written without joiners
# What joins emoji, or letters of such a script, stays where it does so: 👩‍💻 hides nothing. Anywhere else it hides itself.
_HOSTILE = re.compile(
    f"[{_HIDDEN}]"
    f"|(?<![{_PICTURES}\ufe0f{_JOINED}])[\u200c\u200d]|[\u200c\u200d](?![{_PICTURES}{_JOINED}])"
    f"|(?<![{_PICTURES}{_SIGNS}#*0-9])\ufe0f|(?<=[#*0-9])\ufe0f(?!\u20e3)"
)
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f]")  # all of it that ASCII has
_PADDING = 40  # blanks in a row from which on they push what follows out of sight
_BLANKS = {" ": "␠", "\t": "⇥", "\n": "⏎"}
_PADDED = re.compile(f"[ \t\n]{{{_PADDING},}}")
# In what is allowed to run, also what only looks like a blank.
_STRANGE = re.compile(f"[{_HIDDEN}\u00a0\u1680\u2000-\u200d\u202f\u205f\u2800\u3000\ufe0f]")
_MOST_NOTES = 8
_TWINS = frozenset("асеорхуѕіјԁһԛԝӏвкмнтАВСЕНКМОРТХЅІЈοανρτυικΑΒΕΖΗΙΚΜΝΟΡΤΥΧօոսզ")  # letters that look like those of ASCII
_SIGN_TWINS = frozenset("\u037e\u01c0\u2044\u2215\u2216\u2223\u29f8\u29f5\u2024\u02c8\u2032\u00b4\ua789\u2236")
_DASHES = frozenset("\u2010\u2011\u2012\u2013\u2014\u2015\u2212\ufe58")


def _shown(match: re.Match[str]) -> str:
    code = ord(match[0])
    if code < 0x20:
        return chr(0x2400 + code)
    if code == 0x7F:
        return "\u2421"
    return f"\\u{{{code:x}}}"


def safe_text(text: str) -> str:
    """Return the text with every character visible that a terminal would obey or hide."""
    return (_CONTROL if text.isascii() else _HOSTILE).sub(_shown, text.replace("\r\n", "\n"))


def safe_line(text: str) -> str:
    """Return the text as one safe line."""
    return safe_text(text.replace("\n", "\u240a").replace("\t", " "))


def safe_json(text: str) -> str:
    """Return JSON text that means the same, with every such character escaped as JSON escapes it."""
    return _HOSTILE.sub(_in_json, text)


def _in_json(match: re.Match[str]) -> str:
    code = ord(match[0])
    if code < 0x10000:
        return f"\\u{code:04x}"
    return f"\\u{0xD7C0 + (code >> 10):04x}\\u{0xDC00 + (code & 0x3FF):04x}"


@dataclass(frozen=True, slots=True)
class LaidOpen:
    """What is to be approved, with nothing hidden in it; `notes` say what a person would not see of themselves."""

    text: str
    notes: tuple[str, ...] = ()


def lay_open(command: str) -> LaidOpen:
    """Return a command as who allows it must see it: whole, no character hidden, padding counted, lookalikes named."""
    hidden = len(_STRANGE.findall(command))
    notes = [f"{hidden} character{'' if hidden == 1 else 's'} made visible"] if hidden else []
    padded = len(_PADDED.findall(command))
    if padded:
        notes.append(f"padded with {_PADDING} and more blanks in {padded} place{'' if padded == 1 else 's'}")
    twins = Counter(letter for word in command.split() for letter in _lookalikes(word))
    notes += [
        f"{letter} is no ASCII: U+{ord(letter):04X} {unicodedata.name(letter, '')}".rstrip()
        for letter in list(twins)[:_MOST_NOTES]
    ]
    if len(twins) > _MOST_NOTES:
        notes.append(f"and {len(twins) - _MOST_NOTES} more that are no ASCII")
    return LaidOpen(_PADDED.sub(_counted, _STRANGE.sub(_shown, command)), tuple(notes))


def _counted(match: re.Match[str]) -> str:
    told = "".join(f"{_BLANKS[blank]}×{number}" for blank, number in Counter(match[0]).items())
    return f" {told}{chr(10) if chr(10) in match[0] else ' '}"


def _lookalikes(word: str) -> list[str]:
    """Return the characters of a word that a person would take for others."""
    if word.isascii():
        return []
    letters = [letter for letter in word if letter.isalpha()]
    mixed = any(letter.isascii() for letter in letters)
    found = []
    for place, letter in enumerate(word):
        if letter.isascii() or _STRANGE.match(letter):
            continue
        beside = mixed or all(other in _TWINS for other in letters)
        if (
            (letter in _TWINS and beside)
            or letter in _SIGN_TWINS
            or (letter in _DASHES and not word[:place].strip("'\"") and word[place + 1 :].strip("'\""))
            or (unicodedata.normalize("NFKC", letter).isascii() and not _is_of_chinese(letter))
        ):
            found.append(letter)
    return found


def _is_of_chinese(letter: str) -> bool:
    """Whether it is one of the full-width marks that Chinese text is full of, and that no shell obeys."""
    return letter in "，。：；！？（）、～"


def mended(text: str) -> str:
    """Return the text with surrogate pairs as the characters that they mean, and lone halves as U+FFFD."""
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text
