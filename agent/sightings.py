"""Owns what the model has read of each file, in which step, and whether that still holds: a fold over events."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from agent.effects import Effect, Seen
from agent.events.action import ActionFile, ActionRecorded, ActionsUndone
from agent.events.call import CHECK, ToolFinished, ToolStarted
from agent.events.event import Event
from agent.events.news import Informed
from agent.events.step import ModelAnswered

_MOST_NAMED = 10  # files that a command changed and the model had read
_MOST_KNOWN = 2000  # files, the last that were read or written


@dataclass(slots=True)
class Sighting:
    """Lines of a file that the reply at `index` of the whole history holds."""

    seen: Seen
    step: int
    call_id: str
    index: int
    outdated: bool = False  # the file has changed since

    @property
    def lines(self) -> str:
        """Its lines in words."""
        first, last = self.seen.first, self.seen.last
        return f"line {first}" if first == last else f"lines {first}-{last}"

    def covers(self, other: "Sighting") -> bool:
        """Whether it holds all that another does, as it is by now."""
        return self.index > other.index and self.seen.first <= other.seen.first and self.seen.last >= other.seen.last


@dataclass(slots=True)
class Sightings:
    """What the model has seen so far, as the events have it. Paths are from the root."""

    _files: dict[str, list[Sighting]] = field(default_factory=dict)  # of each, what replies hold of it, the oldest first
    _unchanged: set[tuple[str, int, int]] = field(default_factory=set)  # lines of which was last said that they are unchanged
    _known: dict[str, int] = field(default_factory=dict)  # with which step the model saw or wrote it last, while that holds
    _due: dict[str, tuple[Seen, ...]] = field(default_factory=dict)  # by the call, until its reply has its place
    _effects: dict[str, Effect] = field(default_factory=dict)  # of the calls that run
    _changed: dict[str, list[str]] = field(default_factory=dict)  # by the command, files that the model knew
    _calls: set[str] = field(default_factory=set)  # the model's last
    _step: int = 0

    def apply(self, event: Event) -> None:
        """Take one event in."""
        match event:
            case ModelAnswered():
                self._step = event.step
                self._due, self._effects, self._changed = {}, {}, {}
                self._calls = {call.id for call in event.answer.calls}
            case ToolStarted():
                self._effects[event.call_id] = event.effect
            case ToolFinished():
                if event.call_id in self._calls:  # its reply tells of it
                    self._changed.pop(event.call_id, None)
                if event.seen:
                    self._due[event.call_id] = event.seen
                for one in event.seen:
                    (self._unchanged.add if one.since else self._unchanged.discard)((one.path, one.first, one.last))
                    self._know(one.path)
            case ActionRecorded():
                self._act(event.call_id, event.files)
            case ActionsUndone():
                self._outdate_all(event.files)
            case Informed():
                self._outdate_all(event.files)
                self._changed.pop(event.call_id, None)  # a command of the person's, which is told with what it changed
                if event.kind == "check" and event.count:
                    self._changed.clear()
            case _:
                pass

    def place(self, call_id: str, index: int) -> None:
        """Take in where the reply to a call stands in the whole history."""
        for seen in self._due.pop(call_id, ()):
            if not seen.since:
                found = self._files.setdefault(seen.path, [])
                for older in found:
                    older.outdated = older.outdated or older.seen.digest != seen.digest
                found.append(Sighting(seen, self._step, call_id, index))

    def _act(self, call_id: str, files: Iterable[ActionFile]) -> None:
        """Take in what a call changed: what the model wrote it knows, what its command or the person changed it does not."""
        wrote = self._effects.get(call_id) is Effect.WRITE
        for file in files:
            if file.path in self._known and not wrote:
                self._changed.setdefault(call_id, []).append(file.path)
            self._outdate(file.path)
            if wrote:
                self._know(file.path)

    def _outdate_all(self, files: Iterable[ActionFile]) -> None:
        for file in files:
            self._outdate(file.path)

    def _outdate(self, path: str) -> None:
        self._known.pop(path, None)
        for sighting in self._files.get(path, ()):
            sighting.outdated = True

    def _know(self, path: str) -> None:
        self._known.pop(path, None)
        self._known[path] = self._step
        if len(self._known) > _MOST_KNOWN:
            del self._known[next(iter(self._known))]

    def known(self, path: str) -> int:
        """Return with which step the model saw or wrote a file as it was until now; 0 where it did not."""
        return self._known.get(path, 0)

    def changed_by(self, call_id: str, who: str) -> str:
        """Return what the model is told of the files that it knew and a command changed, in one line; empty where it need not be.

        `who` ran the command, as "by this command".
        """
        return _changed(self._changed.get(call_id, ()), who)

    def changed_by_checks(self) -> Informed | None:
        """Return what the model is yet to be told of files that it knew and checks of the person's changed: formatters mostly."""
        paths = [path for call_id, changed in self._changed.items() if call_id.startswith(CHECK) for path in changed]
        count = len(set(paths))
        if not count:
            return None
        told = f"(Noticed by jumar, not the person's words:)\n{_changed(paths, 'by a check of the person')}"
        title = f"a check changed {paths[0]}" if count == 1 else f"a check changed {count} files"
        return Informed(kind="check", title=title, told=told, step=self._step + 1, count=count)

    def again(self, seen: Seen, tells: Callable[[Sighting], bool]) -> Sighting | None:
        """Return what holds the very same lines; None where they must be told: also when they are asked for once more after that.

        `tells` says whether the model is still told what a sighting holds.
        """
        if (seen.path, seen.first, seen.last) in self._unchanged:
            return None
        for one in reversed(self._files.get(seen.path, ())):
            if (one.seen.first, one.seen.last) == (seen.first, seen.last):
                same = one.seen.digest == seen.digest and not one.outdated
                return one if same and one.step < self._step and tells(one) else None
        return None

    def stale(self, tells: Callable[[Sighting], bool]) -> dict[int, str]:
        """Return the places of replies that need not be told any more, and what is told instead: their file has changed
        since, or a later one holds all of it."""
        found: dict[int, str] = {}
        for sightings in self._files.values():
            told = [one for one in sightings if tells(one)]
            for one in told:
                if one.outdated:
                    why = "the file has changed since"
                elif (later := next((other for other in told if not other.outdated and other.covers(one)), None)) is not None:
                    why = f"read again at step {later.step}"
                else:
                    continue
                found[one.index] = f"(read of {one.seen.path}, {one.lines}, at step {one.step}: dropped, {why})"
        return found


def _changed(paths: Iterable[str], who: str) -> str:
    found = list(dict.fromkeys(paths))
    if not found:
        return ""
    more = f" and {len(found) - _MOST_NAMED} more" if len(found) > _MOST_NAMED else ""
    named = f"{', '.join(found[:_MOST_NAMED])}{more}"
    return f"[changed since you read or wrote them: {named} ({who}); read again before you rely on what you saw of them]"
