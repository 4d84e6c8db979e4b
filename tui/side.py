"""Owns the plan and the timeline at the side: beside the conversation where there is room, else a sheet over it."""

from textual.containers import Vertical

_NARROW = 100  # columns below which there is no room beside the conversation


class Side(Vertical):
    """Is shown as the person wants it. A sheet opens only when it is asked for."""

    def __init__(self) -> None:
        super().__init__(id="side")
        self._wanted: bool | None = None  # None: as there is room
        self._narrow = False
        self._sheet = False  # whether it is open where there is no room

    def follow(self, wanted: str) -> None:
        """Be shown as a setting says."""
        self._wanted = None if wanted == "auto" else wanted == "shown"
        self._settle()

    def fit(self, width: int) -> None:
        """Take in how wide the screen is now."""
        if (narrow := width < _NARROW) != self._narrow:
            self._narrow, self._sheet = narrow, False
            self.set_class(narrow, "-sheet")
        self._settle()

    @property
    def is_sheet(self) -> bool:
        """Whether it lies over the conversation now."""
        return self._narrow and self._sheet

    def open(self) -> None:
        """Show it."""
        if self._narrow:
            self._sheet = True
        else:
            self._wanted = True
        self._settle()

    def close(self) -> None:
        """Hide it."""
        if self._narrow:
            self._sheet = False
        else:
            self._wanted = False
        self._settle()

    def toggle(self) -> None:
        """Show it, or hide it."""
        if self.display:
            self.close()
        else:
            self.open()

    def on_descendant_blur(self) -> None:
        """Give the conversation free once the person is back in it."""
        if self.is_sheet and self.app.app_focus:
            self.call_after_refresh(self._leave)

    def _leave(self) -> None:
        if self.is_sheet and self.screen.is_current and not self.has_focus_within:
            self.close()

    def _settle(self) -> None:
        self.display = self._sheet if self._narrow else self._wanted is not False
