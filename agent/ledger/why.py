"""Owns tracing a line back to the action that wrote it."""

from collections.abc import Sequence
from dataclasses import dataclass

from agent.code.diff import changes
from agent.errors import UsageError
from agent.ledger.action import Action, Delta, Held
from agent.ledger.blobs import Blobs
from agent.workspace.tree import Thing

_UNDOING = {"undo", "rewind", "revert", "redo"}


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a line comes from: the action that wrote it; None where it is older than the ledger, or newer."""

    path: str
    line: int
    text: str
    action: Action | None
    newer: bool = False  # it was changed since the ledger last looked, by nobody it knows


async def origin(actions: Sequence[Action], blobs: Blobs, path: str, line: int, now: Thing | None) -> Origin:
    """Trace a line, counted from 1, of a file as it is `now`. Raises UsageError where there is none."""
    if now is None or now.is_link:
        raise UsageError(f"there is no file {path!r} of which a line could be traced")
    lines = _lines(now.content)
    if not 1 <= line <= len(lines):
        raise UsageError(f"{path} has {len(lines)} line{'' if len(lines) == 1 else 's'}, and no line {line}")
    text, at, name = lines[line - 1], line - 1, path
    position = len(actions)
    read = ""  # the object that `lines` are of
    while position:
        position -= 1
        action = actions[position]
        delta = _delta(action, name)
        if delta is None or delta.after is None:
            continue
        after = lines if delta.after.object == read else await _read(blobs, delta.after)
        found = _before(after, lines, at)
        if found is None:
            return Origin(path, line, text, None, newer=True)
        at, lines, read = found, after, delta.after.object
        if action.kind in _UNDOING and (same := _earlier(actions[:position], name, delta.after)) is not None:
            position = same  # what was brought back was written when it was written
            continue
        name, before = (name, delta.before) if delta.before is not None else _renamed(action, delta.after)
        old = await _read(blobs, before) if before is not None else []
        found = _before(old, lines, at)
        if found is None:
            return Origin(path, line, text, action)
        at, lines, read = found, old, "" if before is None else before.object
    return Origin(path, line, text, None)


def _delta(action: Action, path: str) -> Delta | None:
    return next((delta for delta in action.deltas if delta.path == path and not delta.why), None)


def _earlier(actions: Sequence[Action], path: str, held: Held) -> int | None:
    """Return the position of the last action before which the file was this very one."""
    for position in reversed(range(len(actions))):
        delta = _delta(actions[position], path)
        if delta is not None and delta.before is not None and delta.before.object == held.object:
            return position
    return None


def _renamed(action: Action, held: Held) -> tuple[str, Held | None]:
    """Return the file of the same bytes that went in the same action."""
    for delta in action.deltas:
        if delta.after is None and delta.before is not None and delta.before.object == held.object:
            return delta.path, delta.before
    return "", None


def _before(old: list[str], new: list[str], at: int) -> int | None:
    """Return which of the old lines the line `at` of the new ones is; None where it is new."""
    if old == new:
        return at
    shift = 0
    for old_from, old_to, new_from, new_to in changes(old, new):
        if at < new_from:
            break
        if at < new_to:
            return None
        shift += (old_to - old_from) - (new_to - new_from)
    return at + shift


async def _read(blobs: Blobs, held: Held) -> list[str]:
    return _lines((await blobs.get([held.object]))[held.object])


def _lines(content: bytes) -> list[str]:
    return content.decode("utf-8", "replace").removesuffix("\n").split("\n") if content else []
