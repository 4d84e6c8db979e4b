"""Owns the front matter of Markdown files: a few named texts between two lines of dashes, and what stands below them."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass

_MOST_LINES = 200  # that front matter may have; a file with more has none
_KEY = re.compile(r"([A-Za-z][\w-]{0,63})[ \t]*:(?:[ \t]+(.*))?$")
_BLOCK = re.compile(r"([|>])[+-]?[1-9]?[+-]?[ \t]*(?:#.*)?$")
_REMARK = re.compile(r"(?:^|[ \t])#.*$")


@dataclass(frozen=True, slots=True)
class Page:
    """The named texts of a file, and the text below them. Lists and tables are read as the text that they are."""

    named: Mapping[str, str]
    text: str

    def says(self, name: str) -> bool:
        """Whether something is said to be true."""
        return self.named.get(name, "").lower() in {"true", "yes", "on"}


def page(content: bytes) -> Page:
    """Read a file: of YAML only names at the margin with plain, quoted, folded and literal texts. Never fails."""
    text = content.decode("utf-8", "replace").removeprefix("\ufeff").replace("\r\n", "\n")
    lines = text.split("\n", _MOST_LINES + 2)
    end = next((at for at, line in enumerate(lines[: _MOST_LINES + 2]) if at and line.rstrip() in {"---", "..."}), 0)
    if lines[0].rstrip() != "---" or not end:
        return Page({}, text)
    return Page(_named(lines[1:end]), "\n".join(lines[end + 1 :]))


def _named(lines: list[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    at = 0
    while at < len(lines):
        match = _KEY.match(lines[at])
        at += 1
        if match is None:
            continue
        more: list[str] = []
        while at < len(lines) and (not lines[at].strip() or lines[at][0] in " \t"):
            more.append(lines[at])
            at += 1
        found.setdefault(match[1], _text((match[2] or "").strip(), more))
    return found


def _text(first: str, more: list[str]) -> str:
    if block := _BLOCK.match(first):
        margin = min((len(line) - len(line.lstrip()) for line in more if line.strip()), default=0)
        lines = [line[margin:].rstrip() for line in more]
        return ("\n".join(lines) if block[1] == "|" else _folded(lines)).strip()
    whole = _folded([first, *(line.strip() for line in more)]).strip()
    if whole[:1] in {'"', "'"}:
        return _quoted(whole)
    return _REMARK.sub("", whole).strip() if "\n" not in whole else whole


def _folded(lines: list[str]) -> str:
    """Return lines as paragraphs: what no empty line parts is one line."""
    return "\n".join(" ".join(part.split("\n")) for part in re.split(r"\n{2,}", "\n".join(lines).strip("\n")))


def _quoted(whole: str) -> str:
    if whole[0] == '"':
        try:
            text, _ = json.JSONDecoder(strict=False).raw_decode(whole)
        except ValueError:
            return whole.strip('"')
        return str(text)
    end = re.match(r"'((?:[^']|'')*)'", whole)
    return end[1].replace("''", "'") if end is not None else whole.strip("'")
