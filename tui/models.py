"""Owns how models and their efforts stand in a list to choose from."""

from collections.abc import Iterable

from tui.choosing import Row
from tui.desk import Offered
from tui.words import Words


def models(offered: Iterable[Offered], current: str, words: Words) -> list[Row]:
    """Return a row for each model, with what is known of it."""
    return [
        Row(one.name, one.name, _about(one, words), current=current in {one.name, one.name.partition(":")[2]}) for one in offered
    ]


def efforts(model: Offered, current: str, words: Words) -> list[Row]:
    """Return a row for each effort of a model, the server's own choice first."""
    free = Row("", words("model.any_effort"), words("model.any_effort_about"), current=not current)
    return [free, *(Row(effort, effort, current=effort == current) for effort in model.efforts)]


def _about(one: Offered, words: Words) -> str:
    parts = [words("model.window", tokens=f"{one.window:,}")] if one.window is not None else []
    parts += [one.price] if one.price else []
    parts += [words("model.images")] if one.images else []
    parts += [words("model.efforts", efforts=", ".join(one.efforts))] if one.efforts else []
    return " · ".join(parts)
