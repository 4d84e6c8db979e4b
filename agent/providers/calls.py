"""Owns the putting together of tool calls from the pieces in which servers send them."""

import json
import re
from collections.abc import Collection, Iterable
from typing import Any

from agent.messages import Call
from agent.providers.flood import ArgumentsFlood
from agent.providers.offers import DECORATED
from agent.providers.repair import Repairs, as_text, settled
from agent.safe import mended

_LONGEST_NAME = 200  # characters; of a tool that is on offer it is never as long
_MOST = 256  # calls of one answer
_ID = re.compile(r"[\x21-\x7e]{1,200}")


class _Draft:
    """A call that is being written."""

    __slots__ = ("flood", "id", "late", "leaked", "name", "pieces", "size", "structured")

    def __init__(self) -> None:
        self.id = ""
        self.name = ""
        self.late = False  # its name came after its arguments
        self.leaked = False  # it stood in the words
        self.structured = False  # its arguments came as an object in place of text
        self.flood = ArgumentsFlood()
        self.pieces: list[str] = []  # of the arguments, also empty ones
        self.size = 0

    def add(self, call_id: str, name: str, arguments: object) -> None:
        if call_id and not self.id:
            self.id = call_id
        if name and name != self.name and not (self.name and self.size):
            self.late = self.late or (self.size > 0 and not self.name)
            self.name = (name if name.startswith(self.name) else self.name + name)[:_LONGEST_NAME]
        if isinstance(arguments, str):
            arguments = self.flood.take(arguments)
            self.pieces.append(arguments)
            self.size += len(arguments)
        elif arguments is not None:  # an object is whole by nature, and may come again with each piece
            self.structured = True
            self.pieces = [as_text(arguments)]
            self.size = len(self.pieces[0])

    def whole(self) -> bool:
        """Tell whether its arguments are a JSON object to the end, so that what comes next is another call's."""
        if not self.size or (self.pieces[-1] and not self.pieces[-1].rstrip().endswith("}")):
            return False
        try:
            return isinstance(json.loads("".join(self.pieces), strict=False), dict)
        except (ValueError, RecursionError):
            return False


class Calls:
    """Collects the calls of one answer: by index, else by id, else by what can only be another call."""

    __slots__ = ("_by_index", "_drafts", "_flooded", "_last", "_touched", "size")

    def __init__(self) -> None:
        self._drafts: list[_Draft] = []
        self._by_index: dict[int, _Draft] = {}
        self._last: _Draft | None = None
        self._touched: dict[int, _Draft] = {}
        self.size = 0  # characters of arguments that came, in all
        self._flooded = False  # one of them was endless, and was cut

    def __bool__(self) -> bool:
        return bool(self._drafts)

    @property
    def over(self) -> str:
        """What there was too much of, where there was; nothing is to be taken in any more."""
        return "endless white space" if self._flooded else "calls without end" if self.many else ""

    @property
    def many(self) -> bool:
        """Whether there are more calls than any answer has; what of them is meant cannot be told."""
        return len(self._drafts) > _MOST

    @property
    def real(self) -> bool:
        """Whether there is one that says anything."""
        return any(draft.name or _leaked(draft.id) or any(map(str.strip, draft.pieces)) for draft in self._drafts)

    def add(self, name: str, arguments: str, call_id: str) -> None:
        """Add a whole call that stood in the words."""
        draft = _Draft()
        draft.id, draft.name, draft.pieces, draft.size, draft.leaked = call_id, name, [arguments], len(arguments), True
        self._drafts.append(draft)

    def take(self, parts: Any) -> None:
        """Take in the pieces of one delta: a list of them, or one."""
        for part in parts if isinstance(parts, list) else [parts]:
            if self.many:
                return
            if not isinstance(part, dict):
                continue
            function = part.get("function")
            if not isinstance(function, dict):
                function = part
            index = part.get("index")
            call_id, name, arguments = _text(part.get("id")), _text(function.get("name")), function.get("arguments")
            draft = self._find(index if isinstance(index, int) else None, call_id, name, arguments)
            before = draft.size
            draft.add(call_id, name, arguments)
            self.size += draft.size - before
            self._flooded = self._flooded or draft.flood.over
            self._last = draft
            self._touched[id(draft)] = draft

    def told(self) -> Iterable[tuple[str, int]]:
        """Return the name and the size of every call that grew since the last time."""
        grown = [(mended(draft.name), draft.size) for draft in self._touched.values() if draft.name]
        self._touched.clear()
        return grown

    def settle(self, names: Collection[str], taken: Collection[str], repairs: Repairs) -> tuple[Call, ...]:
        """Return the calls; `names` are the tools on offer, `taken` the ids of the history, which no new call repeats."""
        used = set(taken)
        calls = []
        for draft in self._drafts:
            arguments = mended("".join(draft.pieces))
            said = mended(draft.name) or _leaked(draft.id)
            name = _named(said, names)
            if not name and not arguments.strip():
                continue
            call_id = draft.id
            number = len(used)
            while call_id in used or not _ID.fullmatch(call_id):
                call_id = f"functions.{_plain(name)}:{number}"
                number += 1
            if not draft.leaked:
                _tell_identity(draft, name, call_id, repairs)
            used.add(call_id)
            whole, wrong = settled(arguments)
            repairs.count("arguments", "as an object in place of text" if draft.structured else wrong)
            calls.append(Call(call_id, name or "unknown", whole))
        return tuple(calls)

    def _find(self, index: int | None, call_id: str, name: str, arguments: object) -> _Draft:
        draft = None if index is None else self._by_index.get(index)
        if draft is None and call_id and (index is None or not name):
            draft = next((draft for draft in self._drafts if draft.id == call_id), None)
        if draft is None and index is None:
            draft = self._last
        if draft is None or _another(draft, index, call_id, name, arguments):
            draft = _Draft()
            self._drafts.append(draft)
        if index is not None:
            self._by_index[index] = draft
        return draft


def _tell_identity(draft: _Draft, name: str, call_id: str, repairs: Repairs) -> None:
    if call_id != draft.id:
        fit = _ID.fullmatch(draft.id)
        repairs.count(
            "identity", "with an id that was used before" if fit else "with an id that is none" if draft.id else "without an id"
        )
    if not draft.name:
        repairs.count("identity", "without a name")
    elif name != mended(draft.name):
        repairs.count("identity", "with a decorated name")
    elif draft.late:
        repairs.count("identity", "with their name last")


def _another(draft: _Draft, index: int | None, call_id: str, name: str, arguments: object) -> bool:
    """Tell whether a piece that seems to belong to the draft can only begin another call."""
    if not name or not draft.name or (call_id and call_id == draft.id):
        return False
    if call_id and draft.id:
        return name != draft.name or not draft.size or draft.whole()
    if draft.whole():
        return name != draft.name or bool(arguments)
    return index is None and bool(draft.pieces) and not name.startswith(draft.name)


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _leaked(call_id: str) -> str:
    found = DECORATED.fullmatch(call_id) if ":" in call_id or "." in call_id else None
    return found["name"] if found else ""


def _named(name: str, names: Collection[str]) -> str:
    if name not in names and (found := DECORATED.fullmatch(name.strip())) and found["name"] in names:
        return found["name"]
    return name


def _plain(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9_-]", "_", name)[:64] or "unknown"
