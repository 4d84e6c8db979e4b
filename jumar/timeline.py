"""Owns the commands that look at the ledger: actions, show, diff, why, ledger."""

import asyncio
import json
import os
import stat
import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from agent.blocks import DiffBlock
from agent.code.diff import diff
from agent.errors import JumarError, UsageError
from agent.events.action import ActionRecorded
from agent.ledger.action import Action, Delta
from agent.ledger.bare import Bare
from agent.ledger.ledger import Ledger, Listed
from agent.ledger.retention import BYTES, DAYS
from agent.log import events_of, now, sessions
from agent.safe import mended, safe_line, safe_text
from agent.workspace.tree import Thing
from jumar.arguments import Parser
from jumar.home import Home, home
from jumar.lines import Style, painted
from jumar.trust import tree_root

_MARKS = {"done": "✓", "failed": "✗", "denied": "⊘", "cancelled": "■", "unknown": "?", "undone": "↶", "partly": "◐"}
_MOST_DAYS = 100_000
_LONGEST = 80  # characters of a title
_COUNTS = 11  # columns of the numbers of lines


def parser_of(name: str, description: str) -> Parser:
    """Return the options that all commands on the ledger have."""
    parser = Parser(prog=f"jumar {name}", description=description)
    parser.add_argument("-C", dest="cwd", default=".", metavar="DIR", help="the work tree; the current folder without it")
    parser.add_argument("--json", action="store_true", help="JSON in place of words")
    return parser


def ledger_at(cwd: str) -> Ledger:
    """Return the ledger of the work tree of a folder. Raises UsageError."""
    if not Path(cwd).is_dir():
        raise UsageError(f"-C {cwd!r} is no folder")
    root = tree_root(Path(cwd))
    return Ledger(Bare(home(os.environ).ledger, root), root, now)


def actions(arguments: Sequence[str]) -> int:
    """List actions, the oldest first."""
    parser = parser_of("actions", "List what was done in this work tree, the oldest first.")
    parser.add_argument("session", nargs="?", default="", metavar="SESSION", help="of this session only")
    given = parser.parse_args(arguments)
    listed = ledger_at(given.cwd).actions(given.session)
    if not (listed or given.json):
        what = f"no session called {safe_line(given.session)} did anything" if given.session else "nothing was done"
        print(f"{what} here yet, as far as the ledger knows", file=sys.stderr)
    width = max((len(_done(one.action)) for one in listed), default=0)
    plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    for one in listed:
        text = (
            json.dumps(as_json(one))
            if given.json
            else painted((_style(one), line(one, width)), sys.stdout.isatty() and not plain)
        )
        print(text)
    return 0


def _style(one: Listed) -> Style:
    if one.undone or one.action.kind == "outside":
        return "dim"
    return "bad" if one.status in {"failed", "cancelled"} else "plain"


def show(arguments: Sequence[str]) -> int:
    """Show one action, whole."""
    parser = parser_of("show", "Show an action: who let it, what it changed, and what of it is not held.")
    parser.add_argument("action", metavar="ACTION")
    given = parser.parse_args(arguments)
    ledger = ledger_at(given.cwd)
    one = ledger.find(given.action)
    if given.json:
        print(json.dumps({**as_json(one), "seal": one.seal, "prompt": mended(one.action.prompt), "model": one.action.model}))
        return 0
    print(line(one))
    for name, value in _told(one.action):
        print(f"  {name}: {safe_line(value)}")
    for path, why in one.action.left_out.items():
        print(f"  not captured: {safe_line(path)} ({safe_line(why)})")
    _print_diffs(asyncio.run(ledger.contents(one.action)), stat_only=False)
    return 0


def difference(arguments: Sequence[str]) -> int:
    """Print what an action, or a range of them, changed."""
    parser = parser_of("diff", "Print what an action changed, or a range of them: 12 or 12..15.")
    parser.add_argument("actions", metavar="ACTION|A..B")
    parser.add_argument("--stat", action="store_true", help="files and numbers of lines only")
    given = parser.parse_args(arguments)
    ledger = ledger_at(given.cwd)
    first, dots, last = given.actions.partition("..")
    chosen = _range(ledger, first, last if dots else first)
    changed = _together([asyncio.run(ledger.contents(one.action)) for one in chosen])
    if given.json:
        print(json.dumps([_file(delta, block) for delta, block in _blocks(changed)]))
    else:
        _print_diffs(changed, stat_only=given.stat)
    return 0


def why(arguments: Sequence[str]) -> int:
    """Trace a line to the action, prompt and model that wrote it."""
    parser = parser_of("why", "Say which action, prompt and model wrote a line.")
    parser.add_argument("place", metavar="FILE:LINE")
    given = parser.parse_args(arguments)
    name, _, number = given.place.rpartition(":")
    if not name or not number.isdecimal():
        parser.error(f"{given.place!r} is no FILE:LINE, such as calc.py:12")
    ledger = ledger_at(given.cwd)
    path = path_in(ledger, given.cwd, name)
    found = asyncio.run(ledger.why(path, int(number)))
    listed = ledger.find(found.action.id) if found.action else None
    if given.json:
        print(json.dumps({"path": mended(path), "line": found.line, "text": mended(found.text), "newer": found.newer,
                          "action": as_json(listed) if listed else None}))  # fmt: skip
        return 0
    print(f"{safe_line(name)}:{found.line}  {safe_line(found.text)}")
    if listed is None:
        print(
            "it was changed outside jumar since its last action" if found.newer else "it is older than the ledger: see git blame"
        )
        return 0
    print(line(listed))
    for title, value in _told(listed.action):
        print(f"  {title}: {safe_line(value)}")
    return 0


def ledger(arguments: Sequence[str]) -> int:
    """Prove, write out, prune or count the ledger."""
    parser = parser_of("ledger", "verify: prove that nothing was altered · export BRANCH: plain git commits · prune · stats")
    parser.add_argument("verb", choices=("verify", "export", "prune", "stats"), help="what to do with it")
    parser.add_argument("branch", nargs="?", default="", metavar="BRANCH", help="of export: a new branch of the repository")
    parser.add_argument("--session", default="", metavar="ID", help="of export: this session only")
    parser.add_argument("--days", type=int, default=DAYS, metavar="N", help=f"of prune: older bytes go; {DAYS} without it")
    parser.add_argument("--mib", type=int, default=BYTES >> 20, metavar="N", help=f"of prune: at most; {BYTES >> 20} without it")
    given = parser.parse_args(arguments)
    if (given.verb == "export") != bool(given.branch):
        parser.error("export takes the name of a new branch, and nothing else does")
    kept = ledger_at(given.cwd)
    match given.verb:
        case "verify":
            return _verify(kept, as_json=given.json)
        case "export":
            made = asyncio.run(kept.export(given.branch, given.session))
            print(json.dumps({"branch": given.branch, "commits": made}) if given.json else f"{made} commits on {given.branch}")
        case "prune":
            if not (0 <= given.days <= _MOST_DAYS and given.mib >= 0):
                parser.error(f"--days is a number up to {_MOST_DAYS}, and --mib is none below 0")
            stats = asyncio.run(kept.prune(datetime.now(UTC), given.days, given.mib << 20, _progress))
            _print_stats(stats.records, stats.kept, stats.bytes, as_json=given.json)
        case _:
            stats = asyncio.run(kept.stats())
            _print_stats(stats.records, stats.kept, stats.bytes, as_json=given.json)
    return 0


def path_in(ledger: Ledger, cwd: str, name: str) -> str:
    """Return a path that a person typed as the ledger names it. Raises UsageError where it lies outside."""
    path = os.path.relpath(Path(cwd).resolve() / name, ledger.root)
    if path == ".." or path.startswith("../"):
        raise UsageError(f"{name!r} is not in {ledger.root}")
    return path


def as_json(one: Listed) -> dict[str, Any]:
    """Return an action as programs read it."""
    action = one.action
    return {
        "id": action.id,
        "kind": action.kind,
        "session": action.session,
        "turn": action.turn,
        "step": action.step,
        "tool": action.tool,
        "title": mended(action.title),
        "status": one.status,
        "undoable": one.undoable,
        "files": [_file(delta) for delta in action.deltas],
        "not_captured": {mended(path): why for path, why in action.left_out.items()},
        "ts": action.ts,
        "approved_by": action.approved_by,
        "rule": action.rule,
        "undoes": list(action.undoes),
        "shared": list(action.shared),
    }


def line(one: Listed, width: int = 0) -> str:
    """Return an action as one line for a person, what was done in as many columns as `width`."""
    action = one.action
    mark = "·" if action.kind == "outside" else _MARKS.get(one.status, "–")
    added, removed = sum(delta.added for delta in action.deltas), sum(delta.removed for delta in action.deltas)
    counts = f"+{added} -{removed}" if added or removed else ""
    return f"{action.id:>4} {mark} {_done(action):{width}}  {counts:>{_COUNTS if width else 0}}  {action.ts[11:16]}"


def _done(action: Action) -> str:
    what = "changed between actions" if action.kind == "outside" else f"{action.tool} {action.title}".strip()
    number = len(action.deltas)
    files = _shown(action.deltas[0].path) if number == 1 else f"{number} files" if number else _without_files(action)
    told = "" if number == 1 and action.title == action.deltas[0].path else f" · {files}"
    return f"{_clipped(safe_line(what))}{told}"


def _without_files(action: Action) -> str:
    """Say what an action changed that changed no file."""
    if action.repository:
        return "the git repository"
    folders = (*action.folders, *action.gone)
    return f"{_shown(folders[0])}/" if len(folders) == 1 else f"{len(folders)} folders"


def _clipped(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def _told(action: Action) -> Iterable[tuple[str, str]]:
    by = f"{action.approved_by} ({action.rule})" if action.rule else action.approved_by
    rows = (
        ("when", action.ts),
        ("session", f"{action.session}, turn {action.turn}, step {action.step}" if action.session else ""),
        ("prompt", action.prompt),
        ("model", action.model),
        ("allowed by", by),
        ("takes back", ", ".join(action.undoes)),
        ("made folders", mended(", ".join(action.folders))),
        ("removed folders", mended(", ".join(action.gone))),
        ("ran beside it", f"{', '.join(action.shared)}: some of it may be theirs" if action.shared else ""),
        ("repository", "its refs or its index changed: see jumar rescue" if action.repository else ""),
    )
    return [(name, value) for name, value in rows if value]


def _file(delta: Delta, block: DiffBlock | None = None) -> dict[str, Any]:
    told: dict[str, Any] = {
        "path": mended(delta.path),
        "kind": delta.kind,
        "added": block.added if block else delta.added,
        "removed": block.removed if block else delta.removed,
        "captured": not delta.why,
    }
    return {**told, "diff": mended(block.diff)} if block else told


def _range(ledger: Ledger, first: str, last: str) -> list[Listed]:
    begin, end = ledger.find(first), ledger.find(last)
    low, high = int(begin.action.id), int(end.action.id)
    if low > high:
        raise UsageError(f"{first} is later than {last}; turn them round")
    return [one for one in ledger.actions() if low <= int(one.action.id) <= high]


Changed = tuple[Delta, Thing | None, Thing | None]


def _together(each: Iterable[Iterable[Changed]]) -> list[Changed]:
    """Return from what to what each path went over several actions."""
    whole: dict[str, Changed] = {}
    for changed in each:
        for delta, before, after in changed:
            first = whole[delta.path][1] if delta.path in whole else before
            whole[delta.path] = (delta, first, after)
    return [one for one in whole.values() if one[1] != one[2]]


def _blocks(changed: Iterable[Changed]) -> Iterable[tuple[Delta, DiffBlock]]:
    for delta, before, after in changed:
        yield delta, diff(delta.path, _text(before), _text(after))


def _text(thing: Thing | None) -> str | None:
    if thing is None:
        return None
    if thing.is_link:
        return f"link to {thing.content.decode('utf-8', 'backslashreplace')}"
    if b"\0" in thing.content:
        return f"binary, {len(thing.content)} bytes"
    return thing.content.decode("utf-8", "backslashreplace")


def _print_diffs(changed: Iterable[Changed], *, stat_only: bool) -> None:
    for (delta, before, after), (_, block) in zip(changed, _blocks(changed), strict=True):
        modes = _modes(before, after)
        print(f"{block.change:8} {_shown(delta.path)}  +{block.added} -{block.removed}{modes}")
        if not stat_only and block.diff:
            print(safe_text(block.diff))


def _modes(before: Thing | None, after: Thing | None) -> str:
    if before is None or after is None or before.mode == after.mode:
        return ""
    return f"  mode {stat.S_IMODE(before.mode):o} → {stat.S_IMODE(after.mode):o}"


def _shown(path: str) -> str:
    return safe_line(mended(path))


def _verify(kept: Ledger, *, as_json: bool) -> int:
    found = asyncio.run(kept.audit(_seals(home(os.environ), kept.root)))
    if as_json:
        print(json.dumps({"records": found.records, "objects": found.objects, "head": found.head, "faults": list(found.faults)}))
        return 1 if found.faults else 0
    for fault in found.faults:
        print(f"✗ {safe_line(fault)}")
    if found.faults:
        raise JumarError(f"the ledger of {kept.root} is not what was written")
    print(
        f"✓ {found.records} records and the {found.objects} objects that they need are what was written; head {found.head[:12]}"
    )
    return 0


def _seals(place: Home, root: Path) -> Iterable[str]:
    """Yield the seals that the logs of this work tree's sessions name."""
    for summary in sessions(place.sessions):
        if summary.root == mended(str(root)):
            yield from (event.seal for event in events_of(summary.path) if isinstance(event, ActionRecorded))


def _progress(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _print_stats(records: int, kept: int, size: int, *, as_json: bool) -> None:
    if as_json:
        print(json.dumps({"records": records, "undoable": kept, "bytes": size}))
    else:
        print(f"{records} records, the bytes of {kept} of them held; {size / (1 << 20):.1f} MiB on disk")
