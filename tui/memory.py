"""Owns when memory is looked through for what nobody needs any more: at rest, for the more is kept, the longer that takes."""

import gc

_NEW = 10_000  # new objects after which these are looked through


def open_session(*, again: bool) -> None:
    """Leave alone all that a session is made of; what the one before left behind is given back first."""
    if again:
        gc.unfreeze()
        gc.collect()
    gc.freeze()
    gc.set_threshold(_NEW, *gc.get_threshold()[1:])
    gc.enable()


def end_turn() -> None:
    """Give back what a turn left behind, and leave alone what stays of it."""
    gc.collect()
    gc.freeze()
