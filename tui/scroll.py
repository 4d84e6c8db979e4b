"""Owns how lines that scroll are painted: each once, as long as it looks as it did, wherever on the screen it then stands."""

from math import ceil

from textual.geometry import Region
from textual.scroll_view import ScrollView
from textual.scrollbar import ScrollBar
from textual.strip import Strip

_BAR_STEPS = 8  # in which a row of the scroll bar is painted
_PAGES = 4  # of painted lines that are kept


class Scroll(ScrollView):
    """A view whose lines are its own. It has neither border nor padding above or below them."""

    def __init__(self, id: str) -> None:  # noqa: A002 - as every widget calls it
        super().__init__(id=id)
        self.auto_links = False  # there are none, and each line would be looked through for them
        self._painted: dict[int, Strip] = {}  # by where they stand among all lines
        self._bar = (0, 0, 0)  # how the scroll bar was painted

    def render_lines(self, crop: Region) -> list[Strip]:
        """Draw what can be seen."""
        top = self.scroll_offset.y
        wanted = range(top + crop.y, top + crop.bottom)
        if len(self._painted) > _PAGES * self.size.height:
            seen = range(top, top + self.size.height)
            self._painted = {line: strip for line, strip in self._painted.items() if line in seen}
        self._styles_cache.clear()  # it knows lines by where they are on the screen
        missing = [line for line in wanted if line not in self._painted]
        if missing:  # mostly the last ones: what is painted anew between is little
            first, count = missing[0], missing[-1] + 1 - missing[0]
            drawn = super().render_lines(Region(0, first - top, self.region.width, count))
            self._painted.update(zip(range(first, first + count), drawn, strict=True))
        strips = [self._painted[line] for line in wanted]
        return strips if crop.width == self.region.width else [strip.crop(crop.x, crop.right) for strip in strips]

    def repaint(self, line: int) -> None:
        """Paint anew what stands from a line on, and nothing else."""
        self._painted = {at: strip for at, strip in self._painted.items() if at < line}
        place = max(0, line - self.scroll_offset.y)
        if place < self.size.height:
            self.refresh(Region(0, place, self.size.width, self.size.height - place))

    def _set_dirty(self, *regions: Region) -> None:
        super()._set_dirty(*regions)
        if not regions:
            self._painted = {}

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        """Move what is painted."""
        if round(old_value) != round(new_value):
            self.refresh(self.size.region)

    def place_bar(self) -> None:
        """Tell the scroll bar where among all lines we are; it is painted only where that shows in it."""
        bar, room, whole = self.vertical_scrollbar, self.container_size.height, self.virtual_size.height
        if whole <= room or room <= 0:
            return
        length = max(1.0, room * room / whole)
        start = int((room - length) * self.scroll_y / (whole - room) * _BAR_STEPS)
        look = start, start + ceil(length * _BAR_STEPS), room
        if look != self._bar:
            self._bar = look
            bar.window_virtual_size, bar.window_size, bar.position = whole, room, self.scroll_y
        else:
            bar.set_reactive(ScrollBar.window_virtual_size, whole)
            bar.set_reactive(ScrollBar.position, self.scroll_y)
