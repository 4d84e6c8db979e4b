"""Weighing a command never fails, and stays quick, whatever stands in it."""

import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.command.weigh import Command, Deed, weigh
from agent.workspace.contract import Located
from agent.workspace.paths import Paths

_PATHS = Paths(Path("/ws"), Path("/ws"), spill=Path("/ws/.spill"), add_dirs=(), hidden=(), person=Path("/home/ada"))
_SIZE = 3_000
_LONGEST = 5.0  # seconds: far more than it takes, and far less than what grows with the square, or worse, would
_PIECES = (
    *("(", ")", "{", "}", "[", "]", "[[", "]]", "((", "))", "'", '"', "`", "\\", "$", "$(", "${", "$((", "<(", ">(", "$'", '$"'),
    *(
        "\n",
        "\t",
        " ",
        ";",
        ";;",
        "&",
        "&&",
        "|",
        "||",
        "<",
        "<<",
        "<<<",
        "<<E\n",
        "E\n",
        ">",
        ">>",
        ">|",
        "#",
        "!",
        "~",
        "*",
        "?",
        "=",
    ),
    *(
        "a",
        "ls ",
        "if ",
        "then ",
        "fi ",
        "for ",
        "do ",
        "done ",
        "case ",
        "esac ",
        "in ",
        "while ",
        "time ",
        "coproc ",
        "function ",
    ),
    *(
        "sed 's/",
        "find . -exec ",
        "xargs ",
        "env ",
        "env -S ",
        "bash -c ",
        "eval ",
        "git ",
        "-c ",
        "--",
        "1",
        ",",
        "{a,b}",
        "x=",
        "\\\n",
    ),
    *("\0", "\r", "\x1b", "\u00a0", "\u2028", "\u200b", "\u202e", "\ufeff", "é", "\U0001f600", "\ud800", "\udc80"),
)
_HOSTILE = [piece * (_SIZE // len(piece)) for piece in _PIECES]
_HOSTILE += [f"{a}{b}" * (_SIZE // len(a + b)) for a, b in zip(_PIECES, _PIECES[7:] + _PIECES[:7], strict=True)][::5]
_HOSTILE += [
    *("$(" * 2000 + "ls" + ")" * 2000, "{" * 5000 + "}" * 5000, "(" * 5000 + "ls" + ")" * 5000, '"$(' * 2500, "`\\`" * 3000),
    *("bash -c 'bash -c " * 500, "env " * 2500 + "rm x", "sudo " * 2000 + "rm", "xargs " * 1500, "nice " * 2000 + "curl x.dev"),
    *(
        "cd a && " * 1200 + "ls",
        "cd a; " * 1600 + "rm x",
        "ls && " * 1600 + "ls",
        "a=" * 5000,
        "ls " + "../" * 3000,
        "rm " + "*/" * 4000,
    ),
    *(
        "sed -n '" + "/a/,/b/" * 1000 + "p' in.txt",
        "sed '" + "s/[" * 3000 + "' x",
        "sed '" + "{" * 5000 + "' x",
        "sed 's/" + "\\[" * 4000 + "'",
    ),
    *(
        "find . " + "-name a -o " * 900,
        "find . " + "-exec " * 1500,
        "printf '" + "%-" * 5000 + "'",
        "[ " + "! " * 4000 + "]",
        "jq '" + "$E" * 4000,
    ),
    *(
        "rm " + "a " * 5000,
        "git log " + "-p " * 3000,
        "grep -" + "r" * 9000,
        "ls " + "-" * 9000,
        "cat <<E\n" + "$(" * 4000,
        "x " + "{a,b}" * 1800,
    ),
    *(
        "git -c a=b " * 800,
        "git " + ":" * 9000,
        "git show " + ":a" * 4000,
        "tar -" + "I" * 9000,
        "curl " + "http://" * 1200,
        "ls " + "~" * 9000,
    ),
]


def _weighed(text: str) -> Command:
    def unkept(_: Located) -> bool:
        return False

    return weigh(text, _PATHS.locate, unkept)


def test_hostile_text_is_weighed_at_once() -> None:
    slow = []
    for text in _HOSTILE:
        began = time.process_time()
        _weighed(text[:_SIZE])
        spent = time.process_time() - began
        if spent > _LONGEST:
            slow.append(f"{spent:.1f} s: {text[:40]!r}")
    assert not slow, "\n".join(slow)


@settings(max_examples=60, derandomize=True, deadline=None, database=None)
@given(st.lists(st.sampled_from(_PIECES) | st.text(max_size=8), max_size=60).map("".join))
def test_weighing_never_fails(text: str) -> None:
    command = _weighed(text)
    assert command.text == text
    assert command.why
    if any(char in text for char in "\0\r\x1b\u00a0\u2028\u200b\u202e\ufeff\ud800\udc80"):
        assert command.deed is Deed.UNREAD, "what cannot be seen is never relied on"


@pytest.mark.parametrize("text", ["", " ", "\n", "#", "\0", "\ud800", "'", "\\", "$", "`", "a" * 200_000])
def test_what_is_no_command_is_not_relied_on(text: str) -> None:
    assert _weighed(text).deed in {Deed.UNREAD, Deed.WORKS}
