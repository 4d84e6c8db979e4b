"""Owns words: how bash splits a command into them, and what it leaves of each once quotes are gone."""

import re
from dataclasses import dataclass

from agent.command.parts import Redirect, Word

_RUN = re.compile(r"[^ \t\n|&;()<>\\'\"$`*?\[{}~#=:]+")
_QUOTED_RUN = re.compile(r'[^"\\$`]+')
_OPERATOR = re.compile(r"&&|\|\||;;&|;;|;&|\|&|&>>|&>|<<<|<<-|<<|<&|<>|>>|>&|>\||[;&|()<>\n]")
_REDIRECT = re.compile(r"&>>?|<<<|<<-?|<&|<>|>>|>&|>\||[<>]")
_HERE = re.compile(r"(?<!<)<<-?$")
_GAP = re.compile(r"(?:[ \t]|\\\n)*")
_NAMED = re.compile(r"\$(?:[A-Za-z_][A-Za-z0-9_]*|[0-9@*#?$!_-]|\{(?:[A-Za-z_][A-Za-z0-9_]*|[0-9]+|[@*#?$!_-])\})")
_ASSIGNMENT = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)(?:\[[^\x00]*\])?\+?=")
_DESCRIPTOR = re.compile(r"[0-9]+|\{[A-Za-z_][A-Za-z0-9_]*\}")
_ESCAPE = re.compile(r"\\(?:([abeEfnrtv\\'\"?])|([0-7]{1,3})|x([0-9a-fA-F]{1,2})|([uU])|(c)|(.)|$)|[^\\]+", re.DOTALL)
_PREFIX = re.compile(r"(!|time|-p|--)(?=[ \t])")
_ESCAPED = dict(zip("abeEfnrtv\\'\"?", "\a\b\x1b\x1b\f\n\r\t\v\\'\"?", strict=True))
RESERVED = frozenset(
    (
        *("if", "then", "elif", "else", "fi", "case", "esac", "in", "for", "select", "while", "until", "do", "done"),
        *("function", "time", "coproc", "{", "}", "!", "[[", "]]"),
    )
)


class Unclear(ValueError):
    """What stands there is no simple command, or cannot be told."""


@dataclass(frozen=True, slots=True)
class Piece:
    """One word as it was read, with where it stands and its shadow: what of it is not quoted, the rest as NUL."""

    word: Word
    start: int
    end: int
    shadow: str


@dataclass(frozen=True, slots=True)
class Simple:
    """One simple command as it was read. `seen` holds where its redirections stand; `end` is where its terminator does."""

    start: int
    end: int
    pieces: tuple[Piece, ...]
    assigns: tuple[str, ...]
    redirects: tuple[Redirect, ...]
    seen: frozenset[int]


@dataclass(frozen=True, slots=True)
class Reading:
    """A text in which simple commands are read, a character a byte, with what a parser found in it.

    `inside` holds where substitutions and expansions end, by where they start; without a parser only plain `$name` is known.
    `bodies` holds here-documents by where their operator stands.
    """

    text: str
    inside: dict[int, int] | None = None
    bodies: dict[int, Word] | None = None

    def simple(self, start: int) -> Simple:
        """Read the simple command that starts here up to its terminator. Raises Unclear."""
        text, at = self.text, start
        pieces: list[Piece] = []
        assigns: list[str] = []
        redirects: list[Redirect] = []
        seen: set[int] = set()
        while True:
            at = self.gap(at)
            if at >= len(text) or text[at] == "#":
                break
            if (found := _REDIRECT.match(text, at)) and not self._substitutes(at):
                at = self._redirect("", at, found[0], redirects)
                seen.add(found.start())
                continue
            if _OPERATOR.match(text, at) and not self._substitutes(at):
                break
            piece = self.piece(at)
            at = piece.end
            found = _REDIRECT.match(text, at)
            if found and found[0][0] != "&" and not self._substitutes(at) and _DESCRIPTOR.fullmatch(piece.shadow):
                at = self._redirect(piece.shadow, at, found[0], redirects)
                seen |= {piece.start, found.start()}
            elif not pieces and (named := _ASSIGNMENT.match(piece.shadow)):
                assigns.append(named[1])
            else:
                pieces.append(piece)
        return Simple(start, at, tuple(pieces), tuple(assigns), tuple(redirects), frozenset(seen))

    def test(self, start: int) -> Simple:
        """Read the `[[ ... ]]` that starts here: its operators are words of it. Raises Unclear."""
        at, pieces = start, list[Piece]()
        while not pieces or pieces[-1].shadow != "]]":
            at = self.gap(at)
            if at >= len(self.text):
                raise Unclear
            if (found := _OPERATOR.match(self.text, at)) and not self._substitutes(at):
                pieces.append(Piece(Word(found[0]), at, found.end(), found[0]))
            else:
                pieces.append(self.piece(at))
            at = pieces[-1].end
        rest = self.simple(at)
        return Simple(start, rest.end, tuple(pieces) + rest.pieces, (), rest.redirects, rest.seen)

    def flat(self) -> tuple[Simple, ...] | None:
        """Return its simple commands, None where there is more than such, joined by && || ; | or lines."""
        found, at, more, piped = list[Simple](), 0, False, False
        try:
            while True:
                at = self._blank(at)
                if at >= len(self.text):
                    return None if more else tuple(found)
                at = at if piped else self._prefixes(at)
                one = self.simple(at)
                if one.end == one.start or any(_HERE.search(redirect.operator) for redirect in one.redirects):
                    return None
                if one.pieces and one.pieces[0].shadow in RESERVED:
                    return None
                found.append(one)
                at = self._comment(one.end)
                joint = _OPERATOR.match(self.text, at)
                if joint and joint[0] not in {"&&", "||", ";", "|", "\n"}:
                    return None
                more, piped = bool(joint and joint[0] in {"&&", "||", "|"}), bool(joint and joint[0] == "|")
                at = joint.end() if joint else at
        except Unclear:
            return None

    def gap(self, at: int) -> int:
        """Return where blanks and continued lines end."""
        found = _GAP.match(self.text, at)
        return found.end() if found else at

    def piece(self, start: int) -> Piece:
        """Read the word that starts here. Raises Unclear."""
        text, at = self.text, start
        out: list[str] = []
        shadow: list[str] = []
        known, fixed, bracket = True, True, False  # nothing but globs is unknown; not even those are
        while at < len(text):
            if found := _RUN.match(text, at):
                out.append(found[0])
                shadow.append(found[0])
                at = found.end()
                continue
            char = text[at]
            inner = self._inside(at) if char in "$`<>(" or not shadow else None
            if inner is not None:
                array = char not in "$`<>"
                out.append(text[at:inner])
                shadow.append(text[at:inner] if array else "\0")
                at, known = inner, False
            elif char in " \t\n|&;()<>":
                break
            elif char in "\\'\"$":
                at, got, sure = self._quoted(at, char)
                out.append(got)
                shadow.append("\0" * len(got) or ("" if text[at - 2 : at] == "\\\n" else "\0"))
                known &= sure
            elif char == "`":
                raise Unclear
            else:
                if char == "~" and (not shadow or shadow[-1][-1:] in {"=", ":"}):
                    known = False
                fixed &= char not in "*?"
                bracket |= char == "["
                out.append(char)
                shadow.append(char)
                at += 1
        unquoted = "".join(shadow)
        text_of = "".join(out)
        fixed &= not (bracket and "]" in text_of[text_of.find("[") :])
        known &= not _has_braces(unquoted)
        literal = known and fixed
        written = text_of if literal else text[start:at]
        return Piece(Word(decoded(written), literal, known and not fixed), start, at, unquoted)

    def _quoted(self, at: int, char: str) -> tuple[int, str, bool]:
        """Return where what is quoted here ends, what bash leaves of it, and whether that is known."""
        text = self.text
        if char == "\\":
            if at + 1 >= len(text):
                raise Unclear
            return at + 2, "" if text[at + 1] == "\n" else text[at + 1], True
        if char == "'":
            close = text.find("'", at + 1)
            if close < 0:
                raise Unclear
            return close + 1, text[at + 1 : close], True
        if char == '"':
            return self._double(at + 1)
        after = text[at + 1 : at + 2]
        if after == "'":
            return self._ansi(at + 2)
        if after == '"':
            end, got, _ = self._double(at + 2)
            return end, got, False  # it is looked up in a catalogue of messages
        return self._dollar(at)

    def _dollar(self, at: int) -> tuple[int, str, bool]:
        end = self._inside(at)
        if end is None:
            if found := _NAMED.match(self.text, at):
                end = found.end()
            elif self.text[at + 1 : at + 2] in {"(", "{", "["}:
                raise Unclear
            else:
                return at + 1, "$", True
        return end, self.text[at:end], False

    def _double(self, at: int) -> tuple[int, str, bool]:
        text, out, known = self.text, list[str](), True
        while at < len(text):
            if found := _QUOTED_RUN.match(text, at):
                out.append(found[0])
                at = found.end()
                continue
            char = text[at]
            if char == '"':
                return at + 1, "".join(out), known
            if char == "\\":
                after = text[at + 1 : at + 2]
                out.append("" if after == "\n" else after if after and after in '$`"\\' else char + after)
                at += 2
            elif char == "$":
                at, got, sure = self._dollar(at)
                out.append(got)
                known &= sure
            else:
                end = self._inside(at)
                if end is None:
                    raise Unclear
                out.append(text[at:end])
                at, known = end, False
        raise Unclear

    def _ansi(self, at: int) -> tuple[int, str, bool]:
        text, close = self.text, at
        while (close := text.find("'", close)) > 0 and (close - len(text[at:close].rstrip("\\")) - at) % 2:
            close += 1
        if close < 0:
            raise Unclear
        out, known = list[str](), True
        for found in _ESCAPE.finditer(text[at:close]):
            simple, octal, code, wide, control, _ = found.groups()
            if simple:
                out.append(_ESCAPED[simple])
            elif octal or code:
                value = int(octal, 8) & 0xFF if octal else int(code, 16)
                known &= value != 0  # a NUL ends the string
                out.append(chr(value))
            else:
                known &= not (wide or control or found[0] == "\\")  # depends on the locale
                out.append(found[0])
        return close + 1, "".join(out), known

    def _redirect(self, descriptor: str, at: int, operator: str, into: list[Redirect]) -> int:
        """Add the redirection whose operator stands here, and return where it ends."""
        end = self.gap(at + len(operator))
        if end >= len(self.text) or (_OPERATOR.match(self.text, end) and not self._substitutes(end)):
            raise Unclear
        piece = self.piece(end)
        target = piece.word
        if operator in {"<<", "<<-"} and self.bodies is not None:
            body = self.bodies.get(at)
            if body is None:
                raise Unclear
            target = body
        into.append(Redirect(descriptor + operator, target))
        return piece.end

    def _inside(self, at: int) -> int | None:
        return self.inside.get(at) if self.inside is not None else None

    def _substitutes(self, at: int) -> bool:
        return self.text[at] in "<>" and self.text[at + 1 : at + 2] == "(" and self._inside(at) is not None

    def _comment(self, at: int) -> int:
        """Return where a comment that starts here ends."""
        if self.text[at : at + 1] != "#":
            return at
        line = self.text.find("\n", at)
        return len(self.text) if line < 0 else line

    def _blank(self, at: int) -> int:
        """Return where empty lines and comments end."""
        while True:
            after = self._comment(self.gap(at))
            if self.text[after : after + 1] == "\n":
                after += 1
            if after == at:
                return at
            at = after

    def _prefixes(self, at: int) -> int:
        """Return where a command starts after the words `!` and `time`, which only measure it or turn its status round."""
        timed = False
        while found := _PREFIX.match(self.text, at):
            if found[1] in {"-p", "--"} and not timed:
                return at
            timed = found[1] == "time" or (found[1] == "-p" and timed)
            at = self.gap(found.end())
        return at


def decoded(text: str) -> str:
    """Return a text, read a character a byte, as the characters that it means."""
    return text if text.isascii() else text.encode("latin-1").decode("utf-8", "surrogateescape")


def _has_braces(text: str) -> bool:
    """Whether bash could expand braces in it."""
    inside = text[text.find("{") + 1 : text.rfind("}")] if "{" in text else ""
    return "," in inside or ".." in inside
