"""Owns what stands behind the screen: a terminal, and a shell that brings jumar back from the background."""

import os
import select
import sys


def has_shell() -> bool:
    """Whether a shell with jobs runs us. What leads its own session, as in a window of tmux, nobody would wake again."""
    try:
        return os.getpgid(os.getsid(0)) != os.getpgrp()
    except OSError:
        return False


def has_terminal() -> bool:
    """Whether the terminal is still there. Not every one that goes away says so: jumar may not be its first program."""
    if sys.__stdin__ is None:
        return False
    poll = select.poll()
    try:
        poll.register(sys.__stdin__.fileno(), 0)
        return not any(state & (select.POLLHUP | select.POLLERR | select.POLLNVAL) for _, state in poll.poll(0))
    except (OSError, ValueError):
        return False
