"""Owns the comments in files that speak to jumar: `# jumar: …!` is to be done, `…?` to be answered, anything else is a note."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from agent.code.grammars import language

_MOST = 50  # of one file
_LONGEST = 1000  # characters of one
_AROUND = 12  # lines that are shown before and after
_WIDEST = 300  # characters of each
# The mark that begins a comment in whatever language, at the beginning of a line or behind its code. As `;` may also stand
# before one, few of them are taken at a time: a line made of them is looked at once, and not from each of them.
_REMARK = re.compile(
    r"(?:^|(?<=[\s;,{}()\[\]>]))(#+|//+|--+(?:\[\[)?|/?\*+|<!--+|<%#|;{1,4}|%+)[ \t]*jumar[:：][ \t]*(?=\S)", re.IGNORECASE
)
# What ends one that code may follow, by how it begins, with the character before where that matters.
_ENDS = (("<!", "-->"), ("<%", "%>"), ("--[[", "]]"), ("{#", "#}"), ("{*", "*}"), ("(*", "*)"), ("/*", "*/"), ("*", "*/"))
_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")
_TAILS = ("%>", "?>")  # of code within another text, that end a comment of its line too
MENTION = r"(?i)\bjumar[:：]"  # what a line with one has, as a search takes it
Kind = Literal["do", "answer", "note"]


@dataclass(frozen=True, slots=True)
class Remark:
    """One such comment: its line, counted from 1, and what it says, without its marks."""

    line: int
    said: str
    kind: Kind


def remarks(text: str, name: str) -> tuple[Remark, ...]:
    """Return those of a file's text, from the top. In Markdown `#` begins a heading, and what is fenced is quoted."""
    found: list[Remark] = []
    words, fence = language(name) == "markdown", ""
    for number, line in enumerate(text.replace("\r\n", "\n").split("\n"), 1):
        if words and (mark := _FENCE.match(line)):
            fence = "" if fence and mark[1].startswith(fence) else fence or mark[1]
        if len(line) > 4 * _LONGEST or "jumar" not in line.lower() or len(found) == _MOST:
            continue
        if (match := _REMARK.search(line)) and not (words and (fence or not match[1].startswith("<"))):
            before = line[max(0, match.start() - 1) : match.end(1)]
            end = next((end for begin, end in _ENDS if begin in {match[1][: len(begin)], before[: len(begin)]}), "")
            said = line[match.end() :]
            said = (said.partition(end)[0] if end else said).rstrip()
            for tail in _TAILS:
                said = said.removesuffix(tail).rstrip()
            said = said[:_LONGEST]
            kind: Kind = "do" if said.endswith(("!", "！")) else "answer" if said.endswith(("?", "？")) else "note"
            if said.strip("!！?？…. "):
                found.append(Remark(number, said, kind))
    return tuple(found)


def excerpt(text: str, lines: Sequence[int]) -> str:
    """Return the lines of a text around some of them, numbered."""
    whole = text.replace("\r\n", "\n").split("\n")
    shown = sorted({near for line in lines for near in range(line - _AROUND, line + _AROUND + 1) if 1 <= near <= len(whole)})
    told: list[str] = []
    for before, number in zip([0, *shown], shown, strict=False):
        told += ["…"] if before and number > before + 1 else []
        told.append(f"{number}\t{whole[number - 1][:_WIDEST]}")
    return "\n".join(told)
