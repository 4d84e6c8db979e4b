"""Owns the status line: what runs and for how long, what the session runs with, and what it has used."""

import time
from collections.abc import Iterator
from dataclasses import dataclass

from rich.cells import cell_len, set_cell_size
from textual.content import Content
from textual.widgets import Static

from agent.safe import safe_line
from tui.entries import Answered, Called, Noted, Said, Thought
from tui.story import Story
from tui.words import Words

_TICK = 1.0  # seconds
_TURNS = "◐◓◑◒"  # what turns while something runs, one a tick
_STILL = "▶"
_YOLO = "yolo"  # the mode that confines nothing and asks nothing
_BAR = 8  # columns
_FULL = 80  # percent of the window from which on it is worth a look
_SUBJECT = 28  # columns of what a call is about
_SHORT = 20  # columns of what is being done where room is short
_MODEL = 16  # columns of a model's name where room is short
_ENDLESS = 1 << 32  # tokens of a window that is none
_LOOKED = 200  # entries from the end that are looked at
_GAP = "  "


@dataclass(frozen=True, slots=True)
class Standing:
    """How things stand, beside the story."""

    story: Story
    window: int = 0  # tokens, 0 where not known
    measured: bool = False  # whether the window is known, not assumed
    branch: str = ""
    queued: int = 0
    command: str = ""  # of the person's, that runs


@dataclass(frozen=True, slots=True)
class Doing:
    """What is being done, and which of its kind it is: time is counted anew for another."""

    key: str
    text: str
    waits: bool = False  # for the person


class StatusLine(Static):
    """One line at the bottom; where it is too narrow, what matters least goes first. It is repainted without a new layout."""

    def __init__(self, words: Words) -> None:
        super().__init__(words("app.opening"), id="status", markup=False)
        self._words = words
        self._standing: Standing | None = None
        self._doing: Doing | None = None
        self._since = 0.0
        self._ticks = 0
        self._line_shown: tuple[str, object] = "", ()
        self.still = False  # whether nothing turns

    def on_mount(self) -> None:
        """Count the seconds."""
        self.set_interval(_TICK, self._tick)

    def tell(self, standing: Standing) -> None:
        """Show how things stand."""
        self._standing = standing
        doing = _doing(standing, self._words)
        if doing is None or self._doing is None or doing.key != self._doing.key:
            self._since, self._ticks = time.monotonic(), 0
        self._doing = doing
        self._paint()

    def on_resize(self) -> None:
        """Fit the new width."""
        self._paint()

    def _tick(self) -> None:
        if self._doing is not None:
            self._ticks += 1
            self._paint()

    @property
    def seconds(self) -> int:
        """How long what is being done is done already."""
        return int(time.monotonic() - self._since) if self._doing is not None else 0

    def _paint(self) -> None:
        if self._standing is not None and self.size.width:
            line = self._line(self._standing, self.size.width - 2)
            if (line.plain, line.spans) != self._line_shown:
                self._line_shown = line.plain, line.spans
                self.update(line, layout=False)

    def _line(self, standing: Standing, width: int) -> Content:
        left, right = self._left(standing), _right(standing, self._words)
        for name, less in _shorter(standing, self._words, left.get("doing", Content(""))):
            if _width(left) + _width(right) + len(_GAP) <= width:
                break
            if name != "doing" or name in left:
                (left if name in left else right)[name] = less
        if (whole := self._left(standing)) and _width(whole) + _width(right) + len(_GAP) <= width:
            left = whole  # what was left out since has made room for it
        told = _joined(left)
        rest = _joined(right)
        return Content.assemble(told, " " * max(len(_GAP), width - told.cell_length - rest.cell_length), rest)

    def _left(self, standing: Standing) -> dict[str, Content]:
        words, mode = self._words, standing.story.mode
        style = "bold $text-error" if mode == _YOLO else "bold $text-accent"
        told = {"mode": Content.styled(words("status.in_mode", mode=safe_line(words.mode(mode))) if mode else "", style)}
        if (doing := self._doing) is not None:
            turning = _STILL if self.still else _TURNS[self._ticks % len(_TURNS)]
            took = f" · {_time(self.seconds, words)}" if self.seconds else ""
            told["doing"] = Content.assemble(
                ("? " if doing.waits else f"{turning} ", "$text-warning" if doing.waits else "$text-accent"),
                (f"{doing.text}{took}", "$text-warning" if doing.waits else "$text"),
            )
        return told


def _right(standing: Standing, words: Words) -> dict[str, Content]:
    story = standing.story
    sandbox = story.started.sandbox if story.started is not None else ""
    asked, price = story.usage.prompt, words("status.cost_unknown") if story.cost is None else f"${story.cost:.4f}"
    return {
        "queued": Content.styled(words("status.queued", count=standing.queued) if standing.queued else "", "$text"),
        "model": Content(safe_line(story.model)),
        "branch": Content(safe_line(standing.branch)),
        "sandbox": _confined(sandbox, story.mode, words),
        "context": _context(standing, words, bar=True),
        "tokens": Content(words("status.tokens", count=_few(asked + story.usage.completion)) if asked else ""),
        "cache": Content(words("status.cache", percent=story.usage.cached * 100 // asked) if asked else ""),
        "cost": Content(price if asked else ""),
    }


def _shorter(standing: Standing, words: Words, doing: Content) -> Iterator[tuple[str, Content]]:
    """Yield what is said more shortly, or no more, as room gets less."""
    story = standing.story
    nothing = Content("")
    confined = story.started is not None and story.started.sandbox != "none" and story.mode != _YOLO
    yield "cache", nothing
    yield "tokens", nothing
    if confined:
        yield "sandbox", Content(words("status.confined"))
    if len(standing.branch) > _MODEL:
        yield "branch", Content(_cut(safe_line(standing.branch), _MODEL))
    yield "context", _context(standing, words, bar=False)
    if story.cost is None:
        yield "cost", nothing
    if confined:
        yield "sandbox", nothing
    yield "branch", nothing
    yield "doing", doing.truncate(_SHORT, ellipsis=True)
    yield "model", Content(_cut(safe_line(story.model), _MODEL))
    yield "model", nothing
    yield "cost", nothing
    yield "sandbox", nothing
    yield "context", nothing
    yield "doing", nothing
    yield "queued", nothing


def _confined(sandbox: str, mode: str, words: Words) -> Content:
    if not sandbox:
        return Content("")
    if sandbox == "none" or mode == _YOLO:
        return Content.styled(words("status.unconfined"), "$text-warning")
    return Content(words("status.confined_by", sandbox=safe_line(sandbox)))


def _context(standing: Standing, words: Words, *, bar: bool) -> Content:
    used, window = standing.story.context, standing.window
    if not used:
        return Content("")
    about = "" if _counted(standing.story) else "~"
    if not 0 < window < _ENDLESS:
        return Content(words("status.context_used", used=f"{about}{_few(used)}"))
    percent = min(100, used * 100 // window)
    style = "$text-warning" if percent >= _FULL else ""
    told = words("status.context", percent=f"{about}{percent}")
    if not bar:
        return Content.styled(told, style)
    full = min(_BAR, -(-used * _BAR // window))
    limit = _few(window) if standing.measured else f"~{_few(window)}"
    return Content.assemble(
        ("━" * full, style or "$text-accent"),
        ("─" * (_BAR - full), "$text-muted"),
        (f" {told} {words('status.of', used=f'{about}{_few(used)}', window=limit)}", style),
    )


def _counted(story: Story) -> bool:
    """Whether a server counted what the window holds; right after it was shortened that is an estimate."""
    for entry in reversed(story.entries[-_LOOKED:]):
        if isinstance(entry, Answered | Called | Thought):
            return True
        if isinstance(entry, Noted) and entry.kind == "compacted":
            return False
    return True


def _doing(standing: Standing, words: Words) -> Doing | None:
    story = standing.story
    if story.waiting:
        return Doing(f"waits {story.waiting[0]}", words("status.waits"), waits=True)
    if standing.command:
        return Doing(f"command {standing.command}", f"! {_cut(safe_line(standing.command), _SUBJECT)}")
    if not story.running:
        return None
    running: list[Called] = []
    for entry in reversed(story.entries[-_LOOKED:]):
        match entry:
            case Called(state="running"):
                running.append(entry)
            case Called(state="written") if not running:
                return Doing(f"step {story.turn} {story.step} writes", words("status.writes", tool=safe_line(entry.tool)))
            case Answered(streaming=True) if not running:
                return Doing(f"step {story.turn} {story.step} answers", words("status.answers"))
            case Thought(streaming=True) if not running:
                return Doing(f"step {story.turn} {story.step} thinks", words("status.thinks"))
            case Noted(kind="retry") if not running:
                return Doing(f"retry {entry.key}", words("status.retries"))
            case Said(steered=False):
                break
            case _:
                if isinstance(entry, Answered | Thought):
                    break
    if running:
        first = running[-1]
        more = f" +{len(running) - 1}" if len(running) > 1 else ""
        subject = safe_line(first.subject.partition("\n")[0])
        return Doing(f"call {first.call_id}", _cut(f"{safe_line(first.tool)} {subject}".rstrip(), _SUBJECT) + more)
    return Doing(f"step {story.turn} {story.step} asks", words("status.asks"))


def _joined(parts: dict[str, Content]) -> Content:
    return Content(" · ").join(part for part in parts.values() if part.plain)


def _width(parts: dict[str, Content]) -> int:
    return _joined(parts).cell_length


def _cut(text: str, width: int) -> str:
    return text if cell_len(text) <= width else f"{set_cell_size(text, width - 1).rstrip()}…"


def _few(count: int) -> str:
    """Return a number of tokens in few letters."""
    if count < 1000:
        return str(count)
    return f"{count / 1000:.1f}k" if count < 10_000 else f"{count // 1000}k" if count < 1_000_000 else f"{count / 1e6:.1f}M"


def _time(seconds: int, words: Words) -> str:
    minutes, rest = divmod(seconds, 60)
    return words("status.minutes", time=f"{minutes}:{rest:02d}") if minutes else words("status.seconds", seconds=rest)
