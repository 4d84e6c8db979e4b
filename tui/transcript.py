"""Owns the transcript: the conversation as it happens. One widget draws all of it, and lays out only what can be seen."""

from bisect import bisect_right
from dataclasses import dataclass
from itertools import accumulate
from time import monotonic, thread_time

from rich.style import Style as RichStyle
from textual import events
from textual.binding import Binding
from textual.content import Content
from textual.geometry import Size
from textual.message import Message
from textual.selection import Selection
from textual.strip import Strip
from textual.style import Style
from textual.visual import Visual

from agent.blocks import Image
from tui.entries import Answered, Called, Entry, News, Noted, Said
from tui.look import Look, is_foldable, look, opened_at_first, pictures_of
from tui.markdown import sealed
from tui.pictures import Gallery, has_colours
from tui.punctual import Punctual
from tui.scroll import Scroll
from tui.story import Story
from tui.words import Words

_GROWS = 1 / 10  # seconds between two looks of what grows
_REST = 50  # times what laying out took, that what grows rests then


@dataclass(slots=True)
class _Laid:
    """An entry, and its lines for the width that is now; without them its height is a guess."""

    entry: Entry
    opened: bool
    strips: list[Strip] | None = None
    height: int = 1
    sealed: int = 0  # characters of a growing answer whose lines stay
    fence: str = ""  # the line that opened the code in which what follows them stands
    kept: int = 0  # lines of these


class Transcript(Punctual, Scroll, can_focus=True):
    """Shows a story. It stays at the end until the person scrolls away."""

    BINDINGS = [
        Binding("up", "move(-1)", show=False),
        Binding("down", "move(1)", show=False),
        Binding("enter,space", "fold", show=False),
        Binding("v", "view", show=False),
        Binding("end", "to_end", show=False),
    ]

    @dataclass
    class Chosen(Message):
        """The person wants to see what actions of the ledger changed."""

        actions: tuple[str, ...]

    @dataclass
    class Looked(Message):
        """The person wants to look closely at pictures."""

        images: tuple[Image, ...]

    def __init__(self, words: Words) -> None:
        super().__init__("transcript")
        self._words = words
        self._laid: list[_Laid] = []
        self._at: dict[str, int] = {}  # where an entry stands
        self._tops: list[int] = [0]  # the first line of each, and the line after the last
        self._current = -1  # the entry that keys are for
        self._anchored = True
        self._split = "auto"
        self._gallery = Gallery(self._show_picture)
        self._first: int | None = None  # the first entry that news changed since all was settled
        self._growing: dict[str, _Laid] = {}  # answers that grew since
        self._rest = 0.0  # the moment from which what grows may be laid out again
        self._waits = False  # whether news wait to be shown

    @property
    def split(self) -> str:
        """Whether differences are drawn side by side: auto, split or unified."""
        return self._split

    @split.setter
    def split(self, split: str) -> None:
        if split != self._split:
            self._split = split
            self.redraw()

    # What happens.

    def follow(self, news: News) -> None:
        """Take in what an event changed. It is shown once all that is heard together was taken in."""
        first = before = len(self._laid)
        for entry in news.gone:
            if (at := self._at.get(entry.key)) is not None:
                del self._laid[at]
                self._growing.pop(entry.key, None)
                self._at = {laid.entry.key: number for number, laid in enumerate(self._laid)}
                first = min(first, at)
        for entry in news.changed:
            if (at := self._at.get(entry.key)) is None:
                self._add(entry)
            else:
                self._again(self._laid[at])
                first = min(first, at)
        if (news.gone or len(self._laid) != before) and self._width > 0:
            self._measure(first)  # what is drawn until then asks where each entry stands
        self._first = first if self._first is None else min(first, self._first)
        if not self._waits:
            self._waits = True
            self.call_later(self._settle_news)

    def _settle_news(self) -> None:
        """Show what was taken in. What grows is laid out so seldom that it takes little of the processor, however long it is."""
        now = monotonic()
        if self._growing and now < self._rest:
            self.set_timer(self._rest - now, self._settle_news)
            return
        self._waits = False
        if self._first is None:
            return
        first, self._first = min(self._first, len(self._laid)), None
        growing, self._growing = self._growing, {}
        before = thread_time()
        same = {key: self._grow_on(laid) for key, laid in growing.items()}
        key = self._laid[first].entry.key if first < len(self._laid) else ""
        self._settle(first, same.get(key, 0))
        if growing:
            self._rest = now + max(_GROWS, _REST * (thread_time() - before))

    def restart(self, story: Story) -> None:
        """Show another story from its beginning; its end is seen first."""
        self._laid, self._at, self._current, self._anchored = [], {}, -1, True
        self._first, self._growing = None, {}
        for entry in story.entries:
            self._add(entry)
        self._settle(0)

    def redraw(self) -> None:
        """Lay everything out anew: colours, words or the way differences are shown have changed."""
        for laid in self._laid:
            laid.strips, laid.sealed, laid.kept, laid.fence = None, 0, 0, ""
        self._settle(0)

    def _add(self, entry: Entry) -> None:
        laid = _Laid(entry, opened_at_first(entry))
        laid.height = self._guess(laid)
        self._at[entry.key] = len(self._laid)
        self._laid.append(laid)

    def _again(self, laid: _Laid) -> None:
        if isinstance(laid.entry, Answered) and laid.entry.streaming:
            self._growing[laid.entry.key] = laid  # only its end is laid out again
            return
        self._growing.pop(laid.entry.key, None)
        laid.strips, laid.sealed, laid.kept, laid.fence = None, 0, 0, ""

    def _settle(self, first: int, same: int = 0) -> None:
        """Set the heights right from an entry on, and stay where the person looks. `same` are its lines that are as before."""
        width = self._width
        if width <= 0:
            return
        self._measure(first, same)
        if self._anchored:
            self._lay_from_end()
            self.scroll_end(animate=False, immediate=True, force=True)
        self.place_bar()

    def _measure(self, first: int, same: int = 0) -> None:
        if first < len(self._tops):
            self.repaint(self._tops[first] + (self._gap(first) + same if same else 0))
        heights = [laid.height + self._gap(number) for number, laid in enumerate(self._laid[first:], first)]
        self._tops[first:] = list(accumulate(heights, initial=self._tops[first] if first < len(self._tops) else 0))
        size, before, room = Size(self._width, self._tops[-1]), self.virtual_size, self.container_size.height
        if size.width != before.width or (size.height > room) != (before.height > room):
            self.virtual_size = size
        elif size != before:  # nothing else has another place for it: the rest of the screen is not laid out again
            self.set_reactive(Transcript.virtual_size, size)
            self.scroll_y = self.validate_scroll_y(self.scroll_y)

    @property
    def _width(self) -> int:
        return self.scrollable_content_region.width

    def _gap(self, at: int) -> int:
        """Return how many empty lines stand before an entry: calls and notes stand close together."""
        if at == 0:
            return 0
        close = isinstance(self._laid[at].entry, Called | Noted) and isinstance(self._laid[at - 1].entry, Called | Noted)
        return 0 if close else 1

    def _guess(self, laid: _Laid) -> int:
        text = getattr(laid.entry, "text", "") if laid.opened else ""
        width = max(20, self._width)
        return 1 + text.count("\n") + len(text) // width

    # Laying out.

    def _lay(self, at: int) -> None:
        laid = self._laid[at]
        if laid.strips is None:
            laid.strips = []
            self._grow(laid)

    def _grow_on(self, laid: _Laid) -> int:
        """Lay out what a growing answer has more; return how many of its lines are as before."""
        if laid.strips is None:
            return 0
        kept, before = laid.kept, laid.strips[laid.kept :]
        del laid.strips[kept:]
        self._grow(laid)
        pairs = enumerate(zip(before, laid.strips[kept:], strict=False))
        same = next((number for number, (old, new) in pairs if old != new), min(len(before), len(laid.strips) - kept))
        laid.strips[kept : kept + same] = before[:same]
        return kept + same

    def _grow(self, laid: _Laid) -> None:
        """Lay out what is not laid out yet of an entry, or not any more."""
        entry, strips = laid.entry, laid.strips
        if strips is None:
            return
        if isinstance(entry, Answered):
            end, fence = sealed(entry.text, laid.sealed, laid.fence) if entry.streaming else (0, "")
            if end > laid.sealed:
                strips += self._strips(entry, laid, laid.fence + entry.text[laid.sealed : end].rstrip("\n"))
                if not fence:
                    strips.append(Strip.blank(self._width))
                laid.sealed, laid.fence, laid.kept = end, fence, len(strips)
            strips += self._strips(entry, laid, laid.fence + entry.text[laid.sealed :])
        else:
            strips += self._strips(entry, laid)
        laid.height = max(1, len(strips))

    def _strips(self, entry: Entry, laid: _Laid, part: str | None = None) -> list[Strip]:
        gallery = self._gallery if has_colours(self.app.console.color_system, bare=self.app.no_color) else None
        given = Look(self._words, self._width, opened=laid.opened, split=self._split, gallery=gallery)
        content: Content = look(entry, given, part)
        return Visual.to_strips(self, content, self._width, None, self.visual_style, apply_selection=False)

    def _lay_from_end(self) -> None:
        """Lay out as much as the last page needs."""
        left = self.size.height + 2
        changed = len(self._laid)
        for at in range(len(self._laid) - 1, -1, -1):
            if self._laid[at].strips is None:
                self._lay(at)
                changed = at
            left -= self._laid[at].height
            if left <= 0:
                break
        if changed < len(self._laid):
            self._measure(changed)

    def _lay_seen(self) -> None:
        """Lay out what can be seen, keeping its first line where it is."""
        if not self._laid or self._width <= 0:
            return
        top = self.scroll_offset.y
        first = at = max(0, bisect_right(self._tops, top) - 1)
        inside = top - self._tops[at]
        changed = False
        bottom = top + self.size.height
        while at < len(self._laid) and self._tops[at] <= bottom:
            if self._laid[at].strips is None:
                self._lay(at)
                changed = True
                self._measure(at)
            at += 1
        if changed and not self._anchored:
            self._go_to(self._tops[first] + inside)

    def _go_to(self, line: int) -> None:
        """Go to a line at once."""
        self.scroll_to(y=line, animate=False, immediate=True, force=True)

    # Drawing.

    def render_line(self, y: int) -> Strip:
        """Draw one line of what can be seen."""
        width = self._width
        line = y + self.scroll_offset.y
        if line >= self._tops[-1] or not self._laid:
            return Strip.blank(self.size.width, self.visual_style.rich_style)
        at = max(0, bisect_right(self._tops, line) - 1)
        self._lay(at)
        inside = line - self._tops[at] - self._gap(at)
        strips = self._laid[at].strips or []
        if not 0 <= inside < len(strips):
            return Strip.blank(width, self.visual_style.rich_style)
        strip = strips[inside]
        if (selection := self.text_selection) is not None and (span := selection.get_span(line)) is not None:
            start, end = span
            chosen = self.screen.get_component_rich_style("screen--selection")
            cut = strip.cell_length if end == -1 else end
            before, inner, after = strip.crop(0, start), strip.crop(start, cut), strip.crop(cut)
            strip = Strip.join([before, inner.apply_style(chosen), after])
        if at == self._current and self.has_focus:
            strip = strip.apply_style(self._mark)
        return strip.extend_cell_length(width, self.visual_style.rich_style).apply_offsets(0, line)

    @property
    def _mark(self) -> RichStyle:
        return Style.parse("on $boost").rich_style

    def get_selection(self, selection: Selection) -> tuple[str, str] | None:
        """Return the text that is selected: of what was laid out, which all that could be seen is."""
        lines: list[str] = []
        for at, laid in enumerate(self._laid):
            lines += [""] * self._gap(at)
            lines += [strip.text.rstrip() for strip in laid.strips] if laid.strips is not None else [""] * laid.height
        return selection.extract("\n".join(lines)), "\n"

    def selection_updated(self, selection: Selection | None) -> None:
        """Draw the selection."""
        self.refresh()

    # What the person does.

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        """Stay at the end where the person went there."""
        super().watch_scroll_y(old_value, new_value)
        self._anchored = self.is_vertical_scroll_end or new_value >= self.max_scroll_y - 1
        self._lay_seen()
        self.place_bar()

    def on_resize(self, event: events.Resize) -> None:
        """Lay out for another width."""
        if event.size.width != event.virtual_size.width or self._tops == [0]:
            self.redraw()

    def action_move(self, step: int) -> None:
        """Go to the next entry, or the one before."""
        if not self._laid:
            return
        last = len(self._laid) - 1
        self._current = last if self._current < 0 else min(last, max(0, self._current + step))
        self._lay(self._current)
        self._measure(self._current)
        top, bottom = self._tops[self._current], self._tops[self._current + 1]
        if top < self.scroll_offset.y:
            self._go_to(top)
        elif bottom > self.scroll_offset.y + self.size.height:
            self._go_to(bottom - self.size.height)
        self.place_bar()
        self.refresh()

    def action_fold(self) -> None:
        """Open or close the entry that keys are for."""
        if 0 <= self._current < len(self._laid):
            self._fold(self._current)

    def action_view(self) -> None:
        """Look closely at the pictures of the entry that keys are for."""
        if 0 <= self._current < len(self._laid) and (images := pictures_of(self._laid[self._current].entry)):
            self.post_message(self.Looked(images))

    def _show_picture(self, key: str) -> None:
        """Show an entry anew of which a picture is drawn by now."""
        if self.is_attached and (at := self._at.get(key)) is not None:
            self._again(self._laid[at])
            self._settle(at)

    def on_unmount(self) -> None:
        """Draw no more."""
        self._gallery.close()

    def action_to_end(self) -> None:
        """Go to the end, and stay there."""
        self._anchored = True
        self._settle(len(self._laid))

    def on_click(self, event: events.Click) -> None:
        """Open or close the entry under the mouse."""
        line = event.y + self.scroll_offset.y
        if self._laid and line < self._tops[-1] and self.screen.get_selected_text() is None:
            self._current = max(0, bisect_right(self._tops, line) - 1)
            self._fold(self._current)

    def _fold(self, at: int) -> None:
        laid = self._laid[at]
        if isinstance(laid.entry, Said) and laid.entry.images:
            self.action_view()
        elif isinstance(laid.entry, Noted) and laid.entry.actions:
            self.post_message(self.Chosen(laid.entry.actions))
        elif is_foldable(laid.entry):
            laid.opened = not laid.opened
            laid.strips = None
            self._lay(at)
            self._settle(at)
