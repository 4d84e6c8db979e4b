"""Owns the commands that change the past: undo, rewind, redo and rescue; what they do can be shown in place of doing it."""

import asyncio
import json
import sys
from collections.abc import Sequence
from typing import Any

from agent.errors import UsageError
from agent.ledger.ledger import Ledger, Listed
from agent.ledger.merge import Preference
from agent.ledger.undo import Conflict, Plan, Step
from agent.safe import mended, safe_line, safe_text
from jumar.arguments import Parser
from jumar.timeline import ledger_at, line, parser_of, path_in

_PREFERENCES: tuple[Preference, ...] = ("ours", "theirs", "markers")


def undo(arguments: Sequence[str]) -> int:
    """Take actions back, whichever, alone or together."""
    parser = parser_of("undo", "Take actions back: only what they changed, and nothing that was written since.")
    parser.add_argument("actions", nargs="*", metavar="ACTION", help="see jumar actions")
    parser.add_argument("--last", action="store_true", help="the last action that can be taken back")
    parser.add_argument("--turn", type=int, metavar="N", help="all of a turn, of the latest session or --session")
    parser.add_argument("--session", default="", metavar="ID", help="all of this session, or with --turn and --last: of it")
    parser.add_argument("--file", action="append", default=[], metavar="PATH", help="only what they changed in this file")
    parser.add_argument("--with-later", action="store_true", help="where later actions are in the way, take these back too")
    _add_preferences(parser)
    given = parser.parse_args(arguments)
    chosen = sum((bool(given.actions), given.last, given.turn is not None))
    if chosen > 1 or not (chosen or given.session):
        parser.error("say which: ACTION …, --last, --turn N or --session ID")
    ledger = ledger_at(given.cwd)
    ids = given.actions or ([_last(ledger, given.session)] if given.last else _of(ledger, given.session, given.turn))
    only = tuple(path_in(ledger, given.cwd, name) for name in given.file)
    preference = _preference(given)
    if given.with_later:
        ids = asyncio.run(_with_later(ledger, ids, only, preference))
    if given.dry_run:
        return _tell(asyncio.run(ledger.plan(ids, only=only, preference=preference)), None, dry=True, as_json=given.json)
    return _tell(*asyncio.run(ledger.take_back(ids, "undo", only=only, preference=preference)), dry=False, as_json=given.json)


def rewind(arguments: Sequence[str]) -> int:
    """Take back an action and all later ones."""
    parser = parser_of("rewind", "Go back to before an action: it and all later ones are taken back.")
    parser.add_argument("action", metavar="ACTION")
    _add_preferences(parser)
    given = parser.parse_args(arguments)
    ledger = ledger_at(given.cwd)
    preference = _preference(given)
    if given.dry_run:
        plan = asyncio.run(ledger.plan(ledger.later(given.action), preference=preference))
        return _tell(plan, None, dry=True, as_json=given.json)
    return _tell(*asyncio.run(ledger.rewind(given.action, preference=preference)), dry=False, as_json=given.json)


def redo(arguments: Sequence[str]) -> int:
    """Bring back what was undone last."""
    parser = parser_of("redo", "Bring back what the last undo or rewind took back.")
    _add_preferences(parser)
    given = parser.parse_args(arguments)
    ledger = ledger_at(given.cwd)
    preference = _preference(given)
    if given.dry_run:
        return _tell(asyncio.run(ledger.plan([ledger.to_redo()], preference=preference)), None, dry=True, as_json=given.json)
    return _tell(*asyncio.run(ledger.redo(preference=preference)), dry=False, as_json=given.json)


def rescue(arguments: Sequence[str]) -> int:
    """Bring back what an action did to the repository: refs, HEAD, stashes, index, and its files."""
    parser = parser_of(
        "rescue", "Bring back what an action did to the git repository: branches, HEAD, stashes, index, and files."
    )
    parser.add_argument("action", nargs="?", default="", metavar="ACTION", help="without it: list those that changed any of it")
    parser.add_argument("--dry-run", action="store_true", help="say what would change, and change nothing")
    parser.add_argument("--refs-only", action="store_true", help="leave the files as they are")
    given = parser.parse_args(arguments)
    ledger = ledger_at(given.cwd)
    if not given.action:
        return _list_rescues(ledger, as_json=given.json)
    planned, files = asyncio.run(ledger.rescue_plan(given.action))
    if given.refs_only:
        files = Plan((), ())
    if not given.json:
        print("\n".join(f"  {safe_line(mended(text))}" for text in planned.lines) or "  the repository is as it was before it")
        for step in files.steps:
            print(f"  {_becomes(step):9} {safe_line(mended(step.path))}")
        for conflict in files.conflicts:
            _print_conflict(conflict, files)
    blocked = bool(files.conflicts)
    left: tuple[str, ...] = ()
    if not (blocked or given.dry_run):
        left = asyncio.run(ledger.rescue(given.action)) if planned.lines else ()
        if files.steps:
            asyncio.run(ledger.take_back([given.action], "rescue", title=f"rescue {given.action}"))
    if given.json:
        rows = {"repository": list(map(mended, planned.lines)), "left_to_do": list(left), "done": not (blocked or given.dry_run)}
        print(json.dumps({**_as_json(files, None, dry=given.dry_run), **rows}))
        return 1 if blocked else 0
    for text in left:
        print(f"! {safe_line(mended(text))}")
    if blocked:
        print("nothing was changed; --refs-only brings back the repository alone")
    elif given.dry_run:
        print("this is what would be done; nothing was changed")
    else:
        print("✓ it is brought back")
    return 1 if blocked else 0


def _list_rescues(ledger: Ledger, *, as_json: bool) -> int:
    listed = [one for one in ledger.actions() if one.action.repository is not None]
    if not (listed or as_json):
        print("no action changed branches, HEAD, stashes or the index", file=sys.stderr)
    for one in listed:
        planned, _ = asyncio.run(ledger.rescue_plan(one.action.id))
        if as_json:
            lines = list(map(mended, planned.lines))
            print(json.dumps({"id": one.action.id, "title": mended(one.action.title), "repository": lines}))
        else:
            print(line(one))
            print("\n".join(f"       {safe_line(mended(text))}" for text in planned.lines) or "       is as it was before it")
    return 0


def _add_preferences(parser: Parser) -> None:
    parser.add_argument("--dry-run", action="store_true", help="say what would change, and change nothing")
    for name, what in zip(_PREFERENCES, ("keep what is there now", "take what was before", "write both, marked"), strict=True):
        parser.add_argument(f"--{name}", action="store_true", help=f"where both changed the same lines: {what}")


def _preference(given: Any) -> Preference:
    chosen = [name for name in _PREFERENCES if getattr(given, name)]
    if len(chosen) > 1:
        raise UsageError(f"--{' and --'.join(chosen)} exclude each other")
    return chosen[0] if chosen else ""


def _last(ledger: Ledger, session: str) -> str:
    for one in reversed(ledger.actions(session)):
        if one.undoable and one.action.kind == "call":
            return one.action.id
    raise UsageError("there is no action that could be undone; see jumar actions")


def _of(ledger: Ledger, session: str, turn: int | None) -> list[str]:
    """Return the actions of a turn, of the latest session where none is named; without a turn, those of the session."""
    calls = [one for one in ledger.actions(session) if one.action.kind == "call" and one.action.session]
    if not calls:
        raise UsageError("there is no action that could be undone; see jumar actions")
    latest = calls[-1].action.session
    mine = [one for one in calls if one.action.session == latest and turn in {None, one.action.turn}]
    found = [one.action.id for one in mine if one.undoable]
    if not found:
        which = f"session {latest}" if turn is None else f"turn {turn} of session {latest}"
        raise UsageError(f"{which} did nothing that could be undone; see jumar actions {latest}")
    return found


async def _with_later(ledger: Ledger, ids: Sequence[str], only: Sequence[str], preference: Preference) -> list[str]:
    """Add later actions that are in the way, until none is."""
    whole = list(ids)
    while True:
        plan = await ledger.plan(whole, only=only, preference=preference)
        later = {other for conflict in plan.conflicts for other in conflict.later if _may_go(ledger, other)} - set(whole)
        if not later:
            return whole
        whole += sorted(later, key=int)


def _may_go(ledger: Ledger, action_id: str) -> bool:
    one = ledger.find(action_id)
    return one.action.kind != "outside" and not one.undone


def _tell(plan: Plan, done: Listed | None, *, dry: bool, as_json: bool) -> int:
    """Print what was, or would be, changed; return the exit code."""
    if as_json:
        print(json.dumps(_as_json(plan, done, dry=dry)))
    else:
        _print(plan, done, dry=dry)
    return 1 if plan.conflicts or (plan.unheld and not plan.steps) else 0


def _as_json(plan: Plan, done: Listed | None, *, dry: bool) -> dict[str, Any]:
    return {
        "undoes": [action.id for action in plan.actions],
        "changed": bool(done),
        "dry_run": dry,
        "action": done.action.id if done else None,
        "files": [{"path": mended(step.path), "becomes": _becomes(step)} for step in plan.steps],
        "conflicts": [
            {"path": mended(one.path), "why": one.why, "lines": mended(one.lines), "later": list(one.later)}
            for one in plan.conflicts
        ],
        "not_captured": [{"path": mended(path), "why": why} for path, why in plan.unheld],
        "shared": {action.id: list(action.shared) for action in plan.actions if action.shared},
    }


def _print(plan: Plan, done: Listed | None, *, dry: bool) -> None:
    for step in plan.steps:
        print(f"  {_becomes(step):9} {safe_line(mended(step.path))}")
    for folder in done.action.gone if done is not None else ():
        print(f"  removed   {safe_line(mended(folder))}/")
    for folder in done.action.folders if done is not None else ():
        print(f"  recreated {safe_line(mended(folder))}/")
    for path, why in plan.unheld:
        print(f"! not captured, so it stays as it is: {safe_line(mended(path))} ({safe_line(why)})")
        if any(delta.path == path and delta.before for action in plan.actions for delta in action.deltas):
            first = "jumar redo, then " if done is not None else ""
            print(f"  what was there before is held: {first}jumar undo --theirs puts it there")
    for action in plan.actions:
        if action.shared:
            print(f"! commands of session {', '.join(action.shared)} ran beside action {action.id}: some of it may be theirs")
    for conflict in plan.conflicts:
        _print_conflict(conflict, plan)
    numbers = ", ".join(action.id for action in reversed(plan.actions))
    if plan.conflicts:
        print("nothing was changed")
    elif dry:
        print(f"this is what taking back {numbers} would do; nothing was changed")
    elif not (plan.steps or (done is not None and (done.action.folders or done.action.gone))):
        print(f"nothing of {numbers} is left that could be taken back")
    elif done is not None:
        back = f"jumar undo {done.action.id} takes it back" if done.action.kind == "redo" else "jumar redo brings it back"
        print(f"✓ {done.action.title}, as action {done.action.id}; {back}")


def _print_conflict(conflict: Conflict, plan: Plan) -> None:
    print(f"✗ {safe_line(mended(conflict.path))}: {safe_line(conflict.why)}")
    if conflict.lines:
        print("\n".join(f"    {text}" for text in safe_text(conflict.lines).split("\n")))
    ways = "--ours keeps what is there now, --theirs takes what was before, --markers writes both"
    if conflict.later:
        numbers = " ".join([*(action.id for action in reversed(plan.actions)), *conflict.later])
        print(f"  later actions touched it: {', '.join(conflict.later)}; with them: jumar undo {numbers}; else {ways}")
    else:
        print(f"  {ways}")


def _becomes(step: Step) -> str:
    if step.then is None:
        return "removed"
    if step.now is None:
        return "recreated"
    return "merged" if step.merged else "restored"
