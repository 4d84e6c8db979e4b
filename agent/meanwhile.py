"""Owns what is told of files that changed although no action here changed them: the person did, or another program."""

from collections.abc import Callable, Sequence
from pathlib import PurePath

from agent.events.action import ActionFile
from agent.events.news import Informed
from agent.ledger.action import Delta
from agent.safe import mended
from agent.workspace.secrets import are_of_secret

_MOST_SHOWN = 5  # files whose difference the model is told, where there are no more
_MOST_NAMED = 20  # files that the model is told by name
_MOST_FILES = 200  # that the event names


def shown(deltas: Sequence[Delta]) -> tuple[Delta, ...]:
    """Return the changes whose lines the model may be told: few, and of no file that is called as secrets are."""
    if len(deltas) > _MOST_SHOWN:
        return ()
    return tuple(delta for delta in deltas if not are_of_secret(PurePath(delta.path.casefold()).parts))


def noticed(
    action: str, deltas: Sequence[Delta], diffs: Sequence[str], step: int, known: Callable[[str], int], *, away: bool
) -> Informed:
    """Return what is told of changes, which an action of the ledger holds; `away`: made while the session was not open.

    `known` says with which step the model saw a file last, 0 where it did not: those that it saw are named first.
    """
    deltas = sorted(deltas, key=lambda delta: not known(mended(delta.path)))
    named = [f"{mended(delta.path)}: {_became(delta, known(mended(delta.path)))}" for delta in deltas[:_MOST_NAMED]]
    if len(deltas) > _MOST_NAMED:
        named.append(f"and {len(deltas) - _MOST_NAMED} files more")
    when = "while this session was not open" if away else "meanwhile"
    told = (
        f"(Noticed by jumar, not the person's words: {when} {len(deltas)} {'file was' if len(deltas) == 1 else 'files were'} "
        "changed, not by you but by the person or another program. Leave these changes as they are unless you are asked to "
        "change them, and read a file again before you rely on what you saw of it.)"
    )
    first = f"{mended(deltas[0].path)} (+{deltas[0].added} −{deltas[0].removed})"
    return Informed(
        kind="away" if away else "outside",
        title=first if len(deltas) == 1 else f"{len(deltas)} files",
        told="\n".join([told, *named, *diffs]),
        step=step,
        files=tuple(
            ActionFile(path=mended(one.path), kind=one.kind, added=one.added, removed=one.removed, captured=not one.why)
            for one in deltas[:_MOST_FILES]
        ),
        count=len(deltas),
        action=action,
    )


def _became(delta: Delta, seen_at: int) -> str:
    words = f"{delta.kind}, +{delta.added} -{delta.removed} lines" if delta.kind == "modified" else delta.kind
    return f"{words}; you saw it at step {seen_at}" if seen_at else words
