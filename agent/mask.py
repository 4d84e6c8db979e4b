"""Owns what no log, no screen and no model is told: the values of keys, in whatever form they come out."""

import base64
import json
import os
import re
from collections.abc import Callable, Iterable, Mapping
from urllib.parse import quote, quote_plus, unquote

from agent.workspace.environment import is_secret

MASKED = "[masked]"
_SHORTEST = 8  # characters; anything shorter stands in many places by chance
_LONGEST = 64 << 10  # of a value: more is no key, and would cost much to look for
_MOST = 2000  # forms that are looked for
_HELD = 4 << 10  # characters of a text in pieces that wait, at most, for the rest of a secret
_WORD = 16  # characters from which on letters alone, or digits alone, are no everyday word or number
# A variable called PYTHON_KEYRING_BACKEND or MAX_TOKENS holds no secret; one whose name ends so does.
_ENDS_AS_SECRET = re.compile(
    r"(?:KEY|SECRET|TOKEN|PASSWORD|PASSWD|PASSPHRASE|CREDENTIALS?)(?:_?(?:BASE|ID|B64|BASE64|OLD|NEW|\d+))?$", re.IGNORECASE
)
_IN_ADDRESS = re.compile(r"://[^/\s:@]*:([^/\s@]+)@")  # who logs in there, and with what
# Keys that show what they are by their form, whoever they belong to.
_FORMS = re.compile(
    r"""
      \b(?:sk|rk|pk)-[A-Za-z0-9_-]{16,}
    | \b(?:sk|rk|whsec)_(?:live_|test_)?[A-Za-z0-9]{16,}
    | \bgh[pousr]_[A-Za-z0-9]{20,} | \bgithub_pat_[A-Za-z0-9_]{20,} | \bglpat-[A-Za-z0-9_-]{16,}
    | \b(?:AKIA|ASIA)[A-Z0-9]{16}\b | \bAIza[A-Za-z0-9_-]{30,} | \bya29\.[A-Za-z0-9_-]{20,}
    | \bxox[abeoprs]-[A-Za-z0-9-]{10,} | \bnpm_[A-Za-z0-9]{30,} | \bpypi-[A-Za-z0-9_-]{30,} | \bhf_[A-Za-z0-9]{20,}
    | \beyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}
    | (?<=Bearer\ )[A-Za-z0-9._~+/=-]{16,}
    | -----BEGIN\ [A-Z ]{0,30}PRIVATE\ KEY-----.*?(?:-----END\ [A-Z ]{0,30}PRIVATE\ KEY-----|\Z)
    """,
    re.VERBOSE | re.DOTALL,
)


class Mask:
    """Puts a mark in place of secrets: of each value as it is, escaped for JSON or an address, in base64 and in hex."""

    def __init__(self, values: Iterable[str] = ()) -> None:
        worth = {value for value in values if _SHORTEST <= len(value) <= _LONGEST}
        forms = sorted({form for value in sorted(worth) for form in _forms_of(value)}, key=len, reverse=True)[:_MOST]
        self._reach = min(_HELD, len(forms[0]) - 1) if forms else 0
        self._by_letter = {letter: [form for form in forms if form[0] == letter] for letter in {form[0] for form in forms}}
        self._found = re.compile("|".join(map(re.escape, forms))) if forms else None

    @classmethod
    def of(cls, environment: Mapping[str, str], keys: Iterable[str] = ()) -> "Mask":
        """Return the mask for the secrets of an environment, and for keys that come from elsewhere."""
        return cls((*keys, *_secrets_in(environment)))

    def text(self, text: str) -> str:
        """Return the text without the secrets; it stays the very same where there are none."""
        return self._found.sub(MASKED, text) if self._found is not None and text else text

    def would_lose(self, written: str, stands: str) -> bool:
        """Whether who writes this knows a text only with marks in it, and would put them in the place of its secrets."""
        return written.count(MASKED) > stands.count(MASKED) and self.text(stands) != stands

    def flow(self) -> Callable[[str], str]:
        """Return what masks a text that comes in pieces: a secret that is cut between two is held back until it is whole."""
        held = ""

        def masked(piece: str) -> str:
            nonlocal held
            whole = self.text(held + piece)
            start = self._begun(whole)
            held = whole[start:]
            return whole[:start]

        return masked

    def _begun(self, text: str) -> int:
        """Return where the end of a text begins that may be the beginning of a secret."""
        for start in range(max(0, len(text) - self._reach), len(text)):
            if any(form.startswith(text[start:]) for form in self._by_letter.get(text[start], ())):
                return start
        return len(text)


def without_keys(text: str) -> str:
    """Return a text for a report or an error without anything that has the form of a key: nobody edits a file by it."""
    return _FORMS.sub(MASKED, text)


def _secrets_in(environment: Mapping[str, str]) -> Iterable[str]:
    for name, value in environment.items():
        if is_secret(name) and _is_worth(name, value):
            yield value.strip()
        words = (word for found in _IN_ADDRESS.finditer(value) for word in (found[1], unquote(found[1])))
        yield from (word for word in words if _is_worth("PASSWORD", word))


def _is_worth(name: str, value: str) -> bool:
    """Whether a value is a secret, and no file, number or word such as `postgres` that stands in many places."""
    if value.startswith(("/", "~", ".")) and os.path.exists(os.path.expanduser(value)):  # noqa: PTH110, PTH111 - any text
        return False
    mixed = any(letter.isdigit() for letter in value) and any(letter.isalpha() for letter in value)
    return mixed or (len(value) >= _WORD and bool(_ENDS_AS_SECRET.search(name)))


def _forms_of(value: str) -> Iterable[str]:
    raw = value.encode("utf-8", "surrogateescape")
    yield value
    lines = value.splitlines()  # those of a private key may come with other line ends
    yield from (line for line in lines if len(line) >= _WORD and not line.startswith("-----"))
    for ascii_only in (True, False):
        written = json.dumps(value, ensure_ascii=ascii_only)[1:-1]
        yield written
        yield written.replace("/", "\\/")
    for quoted in (quote(raw, safe=""), quote(raw), quote_plus(raw)):
        yield quoted
        yield re.sub(r"%[0-9A-F]{2}", lambda match: match[0].lower(), quoted)
    yield raw.hex()
    yield raw.hex().upper()
    yield from _wrapped(base64.b64encode(raw).decode())
    for before in range(3):
        # What stands before it shifts it, and what stands around it changes its first and its last characters.
        whole = base64.b64encode(b"\0" * before + raw).decode().rstrip("=")
        core = whole[(0, 2, 3)[before] : len(whole) - ((before + len(raw)) % 3 != 0)]
        if len(core) >= _SHORTEST:
            yield core
            yield core.replace("+", "-").replace("/", "_")


def _wrapped(text: str) -> Iterable[str]:
    """Yield the lines that programs break a long text in base64 into; what comes after it changes its last characters."""
    for width in (64, 76):
        lines = [text[at : at + width] for at in range(0, len(text), width)] if len(text) > width else []
        ends = [line[: len(line.rstrip("=")) // 4 * 4] for line in lines[-1:]]
        yield from (line for line in (*lines[:-1], *ends) if len(line) >= _SHORTEST)
