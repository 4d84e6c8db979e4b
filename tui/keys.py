"""Owns the table of all keys: where each holds, and which words say what it does. Help shows it, and a test holds it true."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Key:
    """Keys that do one thing: as Textual names them, how a person reads them, and the words for it under [keys]."""

    names: tuple[str, ...]
    shown: str
    words: str


@dataclass(frozen=True, slots=True)
class Place:
    """Where keys hold; `words` is its title under [keys]."""

    words: str
    keys: tuple[Key, ...]


_MOVE = Key(("up", "k", "down", "j"), "↑ ↓", "move")
_PAGE = Key(("pageup", "pagedown"), "PgUp PgDn", "page")
_LEAVE = Key(("escape", "q"), "Esc", "leave")

PLACES = (
    Place(
        "everywhere",
        (
            Key(("f1",), "F1", "help"),
            Key(("ctrl+p",), "Ctrl+P", "palette"),
            Key(("escape",), "Esc", "stop"),
            Key(("ctrl+c",), "Ctrl+C", "interrupt"),
            Key(("shift+tab",), "Shift+Tab", "mode"),
            Key(("ctrl+t",), "Ctrl+T", "side"),
            Key(("f6",), "F6", "timeline"),
            Key(("f7",), "F7", "review"),
            Key(("ctrl+z",), "Ctrl+Z", "suspend"),
            Key(("ctrl+q",), "Ctrl+Q", "quit"),
        ),
    ),
    Place(
        "prompt",
        (
            Key(("enter",), "Enter", "send"),
            Key(("ctrl+s", "ctrl+enter"), "Ctrl+S", "steer"),
            Key(("shift+enter", "alt+enter", "ctrl+j"), "Shift+Enter", "line"),
            Key(("up", "down"), "↑ ↓", "history"),
            Key(("ctrl+r",), "Ctrl+R", "recall"),
            Key(("ctrl+g",), "Ctrl+G", "editor"),
            Key(("ctrl+x",), "Ctrl+X", "drop"),
            Key(("ctrl+u",), "Ctrl+U", "empty"),
            Key(("ctrl+underscore",), "Ctrl+_", "unwrite"),
            Key(("tab",), "Tab", "complete"),
            Key(("pageup", "pagedown"), "PgUp PgDn", "conversation"),
        ),
    ),
    Place(
        "asking",
        (
            Key(("a",), "a", "allow"),
            Key(("A",), "A", "rule"),
            Key(("r",), "r", "refuse"),
            Key(("e",), "e", "edit"),
            Key(("space",), "Space", "hunk"),
            _PAGE,
        ),
    ),
    Place(
        "goahead",
        (
            Key(("enter",), "Enter", "approve"),
            Key(("left", "h", "right", "l"), "← →", "mode"),
            Key(("e",), "e", "edit_plan"),
            Key(("escape",), "Esc", "talk"),
        ),
    ),
    Place(
        "transcript",
        (
            Key(("up", "down"), "↑ ↓", "move"),
            Key(("enter", "space"), "Enter", "fold"),
            Key(("v",), "v", "view"),
            Key(("end",), "End", "end"),
        ),
    ),
    Place(
        "timeline",
        (
            _MOVE,
            _PAGE,
            Key(("home", "g", "end", "G", "upper_g"), "Home End", "ends"),
            Key(("enter",), "Enter", "difference"),
            Key(("u",), "u", "undo"),
            Key(("U", "upper_u"), "U", "rewind"),
            Key(("R", "upper_r"), "R", "redo"),
            Key(("f",), "f", "fork"),
            Key(("slash",), "/", "find"),
            Key(("escape",), "Esc", "leave"),
        ),
    ),
    Place(
        "plan",
        (
            _MOVE,
            Key(("a",), "a", "add_step"),
            Key(("e",), "e", "reword"),
            Key(("x",), "x", "strike"),
            Key(("alt+up", "K", "upper_k", "alt+down", "J", "upper_j"), "J K", "reorder"),
            Key(("delete",), "Del", "remove_step"),
            Key(("u",), "u", "take_edit_back"),
            Key(("enter",), "Enter", "follow_step"),
            Key(("escape",), "Esc", "leave"),
        ),
    ),
    Place(
        "preview",
        (
            Key(("enter",), "Enter", "carry_out"),
            _MOVE,
            _PAGE,
            Key(("space",), "Space", "part"),
            Key(("o", "t", "m"), "o t m", "prefer"),
            Key(("l",), "l", "later"),
            Key(("i",), "i", "interrupts"),
            Key(("u",), "u", "undo"),
            _LEAVE,
        ),
    ),
    Place(
        "review",
        (
            _MOVE,
            Key(("left", "p", "right", "n"), "← →", "file"),
            _PAGE,
            Key(("space",), "Space", "keep"),
            Key(("enter",), "Enter", "take_back"),
            Key(("tab",), "Tab", "scope"),
            Key(("e",), "e", "editor"),
            Key(("c",), "c", "commit"),
            Key(("R", "upper_r"), "R", "redo"),
            _LEAVE,
        ),
    ),
    Place(
        "lists",
        (
            _MOVE,
            _PAGE,
            Key(("enter",), "Enter", "choose"),
            Key(("ctrl+f",), "Ctrl+F", "fork_session"),
            Key(("ctrl+r",), "Ctrl+R", "rename"),
            Key(("ctrl+d",), "Ctrl+D", "delete"),
            _LEAVE,
        ),
    ),
)
