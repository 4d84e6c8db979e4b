"""Owns telling a model's words from its thinking and from calls that stand among them, while they come in pieces."""

import re
from collections.abc import Callable
from functools import partial

from agent.providers.markup import (
    CALL,
    ELEMENT,
    ELEMENT_BEGUN,
    LONGEST_OPENING,
    TOKENS,
    Passage,
    Verdict,
    Written,
    fence_begins,
    fence_passage,
    json_begins,
    json_passage,
    judged,
    k2_begins,
    k2_passage,
    k3_passage,
    name_begun,
    tag_begins,
    tag_passage,
)
from agent.providers.offers import Offers

_THINK, _THOUGHT = ("<think>", "◁think▷"), ("</think>", "◁/think▷")
_SECTIONS = ("<|tool_calls_section_begin|>", "<|tool_call_section_begin|>", CALL)
_ELEMENTS = ("<|open|>", "<|close|>")
_TAG = "<tool_call>"
_MARKS = (*_SECTIONS, *_ELEMENTS, _TAG, *_THINK, *_THOUGHT, *TOKENS)
_MARK = re.compile("|".join(("`+", *map(re.escape, _MARKS))))
_MARK_BEGUN = re.compile("[<◁][^<◁`]{0,40}\\Z")
_TOKENS_ONLY = re.compile(rf"(?:\s|{'|'.join(map(re.escape, TOKENS))})*")
_REST_OF_LINE = re.compile(r"[ \t]*(?:\n|\Z)")
_BLANK = re.compile(r"\s*")
_ENDS = re.compile(rf"(?:\s|<\|close\|>[a-z]{{1,10}}<\|sep\|>|{'|'.join(map(re.escape, (*TOKENS, *_THOUGHT)))})*")
_K3_ENDS = re.compile(r"(?:\s*<\|close\|>(?:tools|call|message)<\|sep\|>)*")
_LONGEST_EDGE = 2000  # characters of special tokens and white space
_LONGEST_MARK = max(map(len, _MARKS))
_MOST_READ = 200  # passages that may be calls, so that no text takes long; of one that is very long fewer
_LONGEST_READ = 100_000_000  # characters, each as often as it is looked at
_WAIT = -1  # in place of a place: more must come before it can be decided

Piece = tuple[bool, str]  # whether it is thinking, and the words
_Read = Callable[[str, int, Offers], Passage | None]


class Sieve:
    """Lets words through at once, and holds back what may become something else: nothing is told and then taken back.

    Begins within thinking where `thinking`. What it decides does not depend on where the pieces were cut.
    """

    __slots__ = (
        "_alone", "_begun", "_beside", "_fence", "_fence_line", "_held", "_last", "_line_blank", "_name", "_offers", "_open",
        "_parts", "_read", "_said", "_structured", "_thinking", "_told", "_trim", "caught", "closed", "dropped", "ended", "found",
        "left_out", "opened", "plain", "size",
    )  # fmt: skip

    def __init__(self, offers: Offers, *, thinking: bool = False) -> None:
        self._offers = offers
        self._thinking = thinking
        self._open = True  # more may come
        self._structured = False
        self._alone = True
        self._beside = False
        self._told: list[Piece] = []
        self._held = ""  # not decided yet
        self._parts: list[str] = []  # of what is looked at only when all of it is there, since a call has begun
        self._name = ""
        self._read = 0  # passages that were looked at
        self._begun = False  # something was told since the words, or the thinking, began
        self._said = False  # words were told
        self._trim = False  # white space that comes next parts nothing
        self._last = ""  # the last character told
        self._line_blank = True
        self._fence = 0  # backticks of the fence that is open
        self._fence_line = False  # still on the line that opened it
        self.caught = False  # a call has begun
        self.size = 0  # characters since then
        self.found: list[Written] = []
        self.plain = 0  # of these, those that were JSON without marks
        self.closed = True  # the last of them was written to its end
        self.dropped = False  # marked calls were left out, since the calls came in their own form too
        self.left_out: set[str] = set()  # kinds of marks that the words held
        self.opened = False  # a beginning of thinking came
        self.ended = False  # an end of thinking came after words

    @property
    def blank(self) -> bool:
        """Whether no words came."""
        return not (self._said or self.caught or self._held.strip())

    def writing(self) -> str:
        """Return the tool of a call that is being written; empty where none is, or its name is not there yet."""
        if self.caught and not self._name and len(self._parts) < 50:
            self._name = name_begun("".join(self._parts), self._offers)
        return self._name

    def feed(self, text: str) -> list[Piece]:
        """Take in a piece; return what can be told of it and of what was held."""
        if self.caught:
            self._parts.append(text)
            self.size += len(text)
            return []
        if self._held or not self._begun or self._trim or "<" in text or "`" in text or "◁" in text:
            return self._scan(self._held + text)
        self._note(text)
        return [(self._thinking, text)]

    def close(self, *, structured: bool, alone: bool, beside: bool = False) -> list[Piece]:
        """Return the rest. `structured`: calls came in their own form; `alone`: no words stand beside what was thought.

        `beside`: words came after all of this, in a stream of their own.
        """
        rest = "".join(self._parts) if self.caught else self._held
        self._parts.clear()
        self._open, self._structured, self._alone, self._beside = False, structured, alone, beside
        return self._scan(rest)

    def _scan(self, text: str) -> list[Piece]:
        self._told, self._held = [], ""
        place = 0
        while _WAIT < place < len(text):
            place = self._step(text, place)
        return self._told

    def _step(self, text: str, place: int) -> int:
        """Decide on what begins at a place, of which nothing was told yet; return how far it is decided."""
        start = _past(_BLANK, text, place)
        if self._trim:
            self._trim = start == len(text)
            return start
        if not self._begun:
            if start == len(text) and self._open:
                return self._hold(text, place)
            if text[start : start + 1] in {"{", "["}:
                after = self._call(text, place, start, partial(json_begins, offers=self._offers), json_passage, exact=False)
                if after != place:
                    return after
        mark = _MARK.search(text, place)
        if mark is None:
            return self._words(text, place)
        if self._begun or mark.start() > start:
            self._tell(text[place : mark.start()])
            place = mark.start()
        if (after := self._mark(text, place, mark)) != place:
            return after
        self._tell(text[place : mark.end()])
        return mark.end()

    def _words(self, text: str, place: int) -> int:
        """Tell words without a mark, but for an end that could be the beginning of one."""
        begun = _MARK_BEGUN.search(text, place) if self._open else None
        if begun is None or not any(mark.startswith(begun[0]) for mark in _MARKS):
            self._tell(text[place:])
            return len(text)
        if self._begun or text[place : begun.start()].strip():
            self._tell(text[place : begun.start()])
            place = begun.start()
        return self._hold(text, place)

    def _mark(self, text: str, place: int, mark: re.Match[str]) -> int:
        """Decide on a mark; return the place itself where it is mere words."""
        kind = mark[0]
        if kind[0] == "`":
            return self._ticks(text, place, mark)
        if kind in _THINK or kind in _THOUGHT:
            return self._thought(text, place, mark)
        if kind in _SECTIONS:
            return self._call(text, place, mark.start(), k2_begins, k2_passage)
        if kind in _ELEMENTS:
            return self._element(text, place, mark)
        if kind != _TAG:
            return self._token(text, place, mark)
        if self._fence or (self._last == "`" and place == mark.start()) or not self._offers.as_json:
            return place
        return self._call(text, place, mark.end(), tag_begins, tag_passage)

    def _call(
        self, text: str, place: int, begin: int, judge: Callable[[str], Verdict], read: _Read, *, exact: bool = True
    ) -> int:
        """Decide on what may begin a call; one that has begun is read only when all is there."""
        verdict = judged(judge, text, begin) if self._offers else Verdict.NO
        if verdict is Verdict.NO:
            return place
        if self._open:
            if verdict is Verdict.PERHAPS:
                return self._hold(text, place)
            self.caught = True
            self._parts = [text[place:]]
            self.size = len(self._parts[0])
            return _WAIT
        self._read += 1
        passage = read(text, begin, self._offers) if self._read <= _most_read(text) else None
        if passage is None or (not exact and (self._structured or (self._thinking and not self._alone))):
            return place
        if exact and self._spoken_of(text, place, begin, passage.end):
            end = _past(_K3_ENDS, text, passage.end)
            self._tell(text[place:end])
            return end
        if self._structured:
            self.dropped = True
        else:
            self.found += passage.calls
            self.closed = passage.closed
            self.plain += 0 if exact else len(passage.calls)
        return passage.end if _past(_TOKENS_ONLY, text, passage.end) < len(text) else len(text)

    def _spoken_of(self, text: str, place: int, begin: int, end: int) -> bool:
        """Whether marked calls are only quoted: in an example, a sentence or a thought, and more comes after them.

        A call that a model makes is the last that it writes; what it quotes may be anybody's, and is never run.
        """
        at_line = self._line_blank and not text[place:begin].strip(" \t\n").removeprefix(_TAG)
        if at_line and not self._fence and not self._thinking:
            return False
        return self._beside or not self._last_of(text, end)

    def _last_of(self, text: str, place: int) -> bool:
        """Whether nothing but more marked calls, and marks of an end, stand behind a place."""
        while (place := _past(_ENDS, text, place)) < len(text):
            self._read += 1
            mark = _MARK.match(text, place)
            if mark is None or self._read > _most_read(text):
                return False
            if mark[0] in _SECTIONS:
                passage = k2_passage(text, place, self._offers)
            elif mark[0] == _TAG:
                passage = tag_passage(text, mark.end(), self._offers)
            else:
                passage = k3_passage(text, place, self._offers)
            if passage is None:
                return False
            place = passage.end
        return True

    def _element(self, text: str, place: int, mark: re.Match[str]) -> int:
        """Decide on a mark of K3: it says what the words after it are; in an example it is one of them."""
        element = ELEMENT.match(text, mark.start())
        if element is None:
            short = len(text) - mark.start() < LONGEST_OPENING
            return self._hold(text, place) if self._open and short and ELEMENT_BEGUN.match(text, mark.start()) else place
        if element["way"] == "open" and element["name"] in {"tools", "call"}:
            return self._call(text, place, mark.start(), lambda _: Verdict.YES, k3_passage)
        if self._fence:
            return place
        self.left_out.add("thinking" if element["name"] == "think" else "special tokens")
        self._think(thinking=element["way"] == "open" and element["name"] == "think")
        return element.end()

    def _thought(self, text: str, place: int, mark: re.Match[str]) -> int:
        """Decide on where thinking may begin or end."""
        if mark[0] in _THINK:
            if self._begun:
                return place
            self._think(thinking=True)
        else:
            quoted = self._quoted(text, place, mark)
            if quoted is None:
                return _WAIT
            words = not self._thinking and self._begun
            if quoted or (words and (self.ended or self._fence)):
                return place
            self.ended = self.ended or words or self._thinking
            self._think(thinking=False)
        self.left_out.add("thinking")
        self._trim = True
        return mark.end()

    def _think(self, *, thinking: bool) -> None:
        self.opened = self.opened or thinking
        self.ended = self.ended or (self._thinking and not thinking)
        self._thinking = thinking
        self._begun = self._said and not thinking
        self._fence = 0

    def _token(self, text: str, place: int, mark: re.Match[str]) -> int:
        """Decide on a special token: at the edges of what was said it is left out."""
        most = mark.start() + _LONGEST_EDGE
        found = _TOKENS_ONLY.match(text, mark.start(), most)
        end = found.end() if found else mark.end()
        rest = text[end : end + _LONGEST_MARK]
        if end + _LONGEST_MARK > most:
            return place  # more of them than any edge has
        if self._open and any(token.startswith(rest) for token in TOKENS):
            return self._hold(text, place)
        if rest and self._begun:
            return place
        self.left_out.add("special tokens")
        self._trim = bool(rest)
        return end

    def _ticks(self, text: str, place: int, mark: re.Match[str]) -> int:
        """Decide on backticks: of a fence, in which nothing is a call but what has exact marks, or of a call in JSON."""
        size = len(mark[0])
        if not self._line_blank and not self._fence_line:
            return place
        if mark.end() == len(text) and self._open:
            return self._hold(text, place)
        if not self._line_blank:
            self._fence = 0 if size >= self._fence else self._fence
            return place
        if self._fence:
            line = _REST_OF_LINE.match(text, mark.end()) if size >= self._fence else None
            if line is not None:
                if line.end() == len(text) and self._open and not text.endswith("\n"):
                    return self._hold(text, place)
                self._fence = 0
            return place
        if size < 3:
            return place
        after = self._call(text, place, mark.start(), partial(fence_begins, offers=self._offers), fence_passage, exact=False)
        if after == place:
            self._fence, self._fence_line = size, True
        return after

    def _quoted(self, text: str, place: int, mark: re.Match[str]) -> bool | None:
        """Whether a mark is spoken of, between backticks or as a word of a sentence; None, and held, where that is not seen."""
        within = "`" if self._last == "`" else " .,;:?!)" if self._last == " " and not self._thinking else ""
        if not within or place < mark.start():
            return False
        if mark.end() == len(text) and self._open:
            self._hold(text, place)
            return None
        after = text[mark.end() : mark.end() + 1]
        return bool(after) and after in within

    def _hold(self, text: str, place: int) -> int:
        self._held = text[place:]
        return _WAIT

    def _tell(self, text: str) -> None:
        if text:
            self._note(text)
            self._told.append((self._thinking, text))

    def _note(self, text: str) -> None:
        self._last = text[-1]
        if "\n" in text:
            line = text[text.rfind("\n") + 1 :]
            self._line_blank = not line or line.isspace()
            self._fence_line = False
        elif self._line_blank:
            self._line_blank = text.isspace()
        if not self._begun and not text.isspace():
            self._begun = True
            self._said = self._said or not self._thinking


def _most_read(text: str) -> int:
    return min(_MOST_READ, 8 + _LONGEST_READ // (len(text) + 1))


def _past(pattern: re.Pattern[str], text: str, at: int) -> int:
    found = pattern.match(text, at)
    return found.end() if found else at
