"""Owns the person's own keys for what the screen does everywhere: which can be given, and what they must not be."""

import re
from collections.abc import Mapping
from dataclasses import replace

from textual.binding import Binding
from textual.widgets import Input, TextArea

from agent.errors import UsageError
from tui.keys import PLACES, Key, Place

# Esc and Ctrl+C stay what they are: whatever else a person presses, these stop it.
NAMES = ("help", "palette", "mode", "side", "timeline", "review", "suspend", "quit")
_KEY = re.compile(r"(?:ctrl\+|alt\+)(?:shift\+)?[a-z0-9]|(?:ctrl\+|alt\+|shift\+)?f(?:1?[0-9]|2[0-4])|shift\+tab")
_SAME = {"ctrl+i": "Tab", "ctrl+m": "Enter", "ctrl+j": "Shift+Enter", "ctrl+h": "Backspace"}  # for a terminal they are


def keymap(keys: Mapping[str, str]) -> dict[str, str]:
    """Return the keys by their names, as Textual takes them. Raises UsageError where they cannot be meant so."""
    if not keys:
        return {}
    ours = {key.words: key for key in PLACES[0].keys}
    chosen: dict[str, str] = {}
    taken = _taken()
    for name, key in {**{name: ours[name].names[0] for name in NAMES}, **keys}.items():
        if name not in NAMES:
            raise UsageError(f"keys.{name}: there is no key of that name; there are {', '.join(NAMES)}")
        pressed = "".join(key.split()).lower()
        if name in keys and pressed not in ours[name].names:
            if not _KEY.fullmatch(pressed):
                raise UsageError(f"keys.{name}: {key!r} is no key for it; write ctrl+LETTER, alt+LETTER or a function key")
            if pressed in _SAME:
                raise UsageError(f"keys.{name}: a terminal cannot tell {key!r} from {_SAME[pressed]}")
            if pressed in taken:
                raise UsageError(f"keys.{name}: {key!r} has another use: it {taken[pressed]}")
        if other := next((one for one, held in chosen.items() if held == pressed), ""):
            raise UsageError(f"keys.{name}: {key!r} is the key for {other} too")
        chosen[name] = pressed
    return {name: chosen[name] for name in keys}


def places(keys: Mapping[str, str]) -> tuple[Place, ...]:
    """Return the table of keys with the person's own in it."""
    own = keymap(keys)
    everywhere = replace(PLACES[0], keys=tuple(_own(key, own) for key in PLACES[0].keys))
    return (everywhere, *PLACES[1:])


def _own(key: Key, own: Mapping[str, str]) -> Key:
    pressed = own.get(key.words, "")
    return replace(key, names=(pressed,), shown="+".join(part.capitalize() for part in pressed.split("+"))) if pressed else key


def _taken() -> dict[str, str]:
    """Return what other keys do, which may hold at the same time."""
    taken = {
        key: f"edits text ({binding.description.lower()})"
        for widget in (TextArea, Input)
        for binding in widget.BINDINGS
        if isinstance(binding, Binding)
        for key in binding.key.split(",")
    }
    for place in PLACES[1:]:
        for key in place.keys:
            taken |= dict.fromkeys(key.names, "is a key of the screen, as its help says")
    stops = {name: "stops what runs" for key in PLACES[0].keys if key.words not in NAMES for name in key.names}
    return {**taken, **stops}
