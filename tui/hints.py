"""Owns the line of keys below what it is for: it breaks between two hints, and never within one."""

from textual.content import Content
from textual.visual import VisualType
from textual.widgets import Static

_BETWEEN = " · "


class Hints(Static):
    """Shows hints in as many lines as they need."""

    def __init__(self, hints: Content | str = "", id: str | None = None) -> None:  # noqa: A002 - as every widget calls it
        self._whole: Content = Content(hints) if isinstance(hints, str) else hints
        super().__init__(self._whole, id=id, markup=False)

    def update(self, content: VisualType = "", *, layout: bool = True) -> None:
        """Show other hints."""
        self._whole = content if isinstance(content, Content) else Content(str(content))
        self._lay(layout=layout)

    def on_resize(self) -> None:
        """Fit the new width."""
        self._lay(layout=True)

    def _lay(self, *, layout: bool) -> None:
        super().update(broken(self._whole, self.content_size.width), layout=layout)


def broken(hints: Content, width: int) -> Content:
    """Return hints in lines of a width; as one line where the width is not known."""
    if width <= 0 or hints.cell_length <= width:
        return hints
    lines: list[Content] = []
    for line in hints.split("\n", allow_blank=True):
        first, *rest = line.split(_BETWEEN)
        for hint in rest:
            joined = Content.assemble(first, (_BETWEEN, "$text-muted"), hint)
            if joined.cell_length <= width:
                first = joined
            else:
                lines.append(first)
                first = hint
        lines.append(first)
    return Content("\n").join(lines)
