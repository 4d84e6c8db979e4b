"""Owns `jumar checks`: what checks a work tree, and taking what its files propose over into the person's settings."""

import json
import os
import re
import tempfile
from collections.abc import Collection, Sequence
from dataclasses import asdict
from pathlib import Path

from agent import config
from agent.checks import Check, configured, detected
from agent.errors import UsageError
from agent.safe import safe_json, safe_line
from jumar.arguments import Parser
from jumar.home import Home, home
from jumar.trust import demand, tree_root


def checks(arguments: Sequence[str]) -> int:
    """List the checks of a work tree, or take proposed ones over."""
    parser = Parser(
        prog="jumar checks",
        description="List the checks that run before a turn ends, and those that the files of a work tree propose.",
    )
    parser.add_argument("name", nargs="*", metavar="NAME", help="with --write: only these proposals")
    parser.add_argument("--write", action="store_true", help="take the proposals over into config.toml, for this work tree")
    parser.add_argument("-C", dest="cwd", default=".", metavar="DIR", help="the work tree; the current folder without it")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    given = parser.parse_args(arguments)
    if given.name and not given.write:
        parser.error("names are for --write")
    if not Path(given.cwd).is_dir():
        parser.error(f"-C {given.cwd!r} is no folder")
    place, root = home(os.environ), tree_root(Path(given.cwd))
    demand(place, root, for_once=False)
    if given.write:
        for name, command in keep(place, root, given.name):
            print(f"checks.{name}: {safe_line(command)}")
        return 0
    kept, proposed = held(place, root)
    if given.json:
        for source, found in (("config", kept), ("proposed", proposed)):
            for check in found:
                print(safe_json(json.dumps({"source": source, **asdict(check)}, ensure_ascii=False)))
    else:
        _list(kept, proposed)
    return 0


def held(place: Home, root: Path) -> tuple[tuple[Check, ...], tuple[Check, ...]]:
    """Return the checks of a trusted work tree: the person's, and those that its files propose beside. Raises UsageError."""
    kept = configured(config.load(place.config / "config.toml").checks, root)
    commands = {check.command for check in kept}
    return kept, tuple(check for check in detected(root) if check.command not in commands)


def keep(place: Home, root: Path, names: Sequence[str] = ()) -> list[tuple[str, str]]:
    """Take proposed checks over, all or some, into the person's settings; return name and command of each. Raises UsageError."""
    known = {check.name: check for check in held(place, root)[1]}
    for name in names:
        if name not in known:
            told = ", ".join(known) or "nothing is proposed"
            raise UsageError(f"no check {name!r} is proposed here; there is: {safe_line(told)}")
    chosen = [known[name] for name in dict.fromkeys(names)] if names else list(known.values())
    if not chosen:
        raise UsageError("the files here propose no check that you have not; write one of your own into config.toml", 1)
    return _write(place.config / "config.toml", root, chosen)


def _list(kept: Sequence[Check], proposed: Sequence[Check]) -> None:
    for title, found in (("run before a turn ends, by your config.toml", kept), ("proposed by the files here", proposed)):
        print(f"{title}:" if found else f"{title}: none")
        for check in found:
            of = " ".join(check.files) or "any file"
            when = " · after each edit" if check.when == "edit" else ""
            print(f"  {safe_line(check.name):12} {safe_line(check.command)}  ({safe_line(of)}{when})")
    if proposed:
        print("jumar checks --write takes the proposals over, jumar checks --write NAME one of them")


def _write(file: Path, root: Path, chosen: Sequence[Check]) -> list[tuple[str, str]]:
    """Add tables to the person's file, and leave all that stands there as it is. Raises UsageError."""
    names, added = set(config.load(file).checks), []
    written: list[tuple[str, str]] = []
    for check in chosen:
        name = _free(f"{root.name}-{check.name}", names)
        names.add(name)
        rows = {"command": check.command, "files": list(check.files), "folder": str(root)}
        # JSON's texts and lists are TOML's too.
        added += [f"\n[checks.{name}]\n", *(f"{key} = {json.dumps(value)}\n" for key, value in rows.items())]
        written.append((name, check.command))
    try:
        before = file.read_text("utf-8") if file.exists() else ""
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle, fresh = tempfile.mkstemp(dir=file.parent, prefix=".config.", suffix=".toml")
        with os.fdopen(handle, "w", encoding="utf-8") as opened:
            opened.write(before + ("" if not before or before.endswith("\n") else "\n") + "".join(added))
        try:
            config.load(Path(fresh))
            if file.exists():
                Path(fresh).chmod(file.stat().st_mode & 0o777)
            Path(fresh).replace(file.resolve())
        except BaseException:
            Path(fresh).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise UsageError(f"{file} cannot be written: {error.strerror}", 1) from error
    return written


def _free(name: str, taken: Collection[str]) -> str:
    bare = re.sub(r"[^A-Za-z0-9_-]+", "-", name).strip("-")
    number, free = 1, bare
    while free in taken:
        number += 1
        free = f"{bare}-{number}"
    return free
