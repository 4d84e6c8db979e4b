"""Owns whether jumar can be put into the background: there must be a shell that brings it back."""

import os


def has_shell() -> bool:
    """Whether a shell with jobs runs us. What leads its own session, as in a window of tmux, nobody would wake again."""
    try:
        return os.getpgid(os.getsid(0)) != os.getpgrp()
    except OSError:
        return False
