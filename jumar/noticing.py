"""Owns which comments to jumar are a person's and new: not what stood there before, nor what jumar, git or a program brought."""

import asyncio
import hashlib
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from agent.errors import JumarError, ToolFailure
from agent.ledger.ledger import Ledger
from agent.workspace.contract import FileText, Located, Place, View, Workspace
from agent.workspace.git import Git
from agent.workspace.text import decode, encode
from agent.workspace.walk import Walk
from jumar.remarks import MENTION, Remark, remarks
from jumar.saves import Save

_MOST_AT_ONCE = 3  # files that a person saves together
_MOST_LOOKED = 2000  # files of one save of which it is made out whether they are ignored
_MOST_KNOWN = 2000  # files whose comments are read at the start
_MOST_DELTAS = 200  # of an action whose bytes are looked at
_LARGEST = 1 << 20  # characters of a file
_Key = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Noticed:
    """A saved file with new comments; `why_not` says why they are not acted on, as a clause."""

    file: FileText
    fresh: tuple[Remark, ...]
    why_not: str = ""

    @property
    def path(self) -> str:
        """How the file is called."""
        return self.file.path.shown


class Noticing:
    """Remembers the comments of the files below a folder."""

    def __init__(self, workspace: Workspace, ledger: Ledger | None, folder: Path) -> None:
        self._workspace = workspace
        self._ledger = ledger
        self._folder = folder
        self._known: dict[str, set[_Key]] = {}
        self._unsure: set[str] | None = set()  # files whose comments of before are not known; None: all that are not known
        self._left: dict[str, str] = {}  # the digest of what jumar's last action left
        self._seal = ""
        self.notes: dict[str, tuple[Remark, ...]] = {}  # that a person saved, by the name of the file

    async def start(self) -> list[tuple[str, Remark]]:
        """Take in what stands there: it is not acted on. Return what would be, were it new."""
        self._seal = self._ledger.head() if self._ledger is not None else ""
        where = self._workspace.locate(str(self._folder))
        found = await self._workspace.search(
            MENTION, paths=(where,), glob="", context=0, ignore_case=False, limit=0, view=View(_is_fit)
        )
        paths = sorted(found.counts)
        waiting: list[tuple[str, Remark]] = []
        for path in paths[:_MOST_KNOWN]:
            file = await self._read(self._workspace.locate(path))
            if file is None:
                continue
            some = remarks(file.text, file.path.shown)
            self._known[self._name(file.path)] = _keys(some)
            waiting += [(file.path.shown, one) for one in some if one.kind != "note"]
        self._unsure = None if found.partial else {self._name(self._workspace.locate(path)) for path in paths[_MOST_KNOWN:]}
        return waiting

    async def look(self, save: Save) -> list[Noticed]:
        """Return the saved files that have new comments which ask for something."""
        busy = await self._absorb()
        changed: list[FileText] = []
        count = 0
        for located in self._fitting(save.paths):
            file = await self._read(located)
            if file is not None and self._left.get(self._name(located)) == file.digest:
                continue  # it is as jumar left it
            count += 1
            if file is not None:
                changed.append(file)
        why = f"{count} files changed at once, as git or a program does it" if count > _MOST_AT_ONCE else ""
        why = why or ("git was at work" if save.moved else "a command of another session runs here" if busy else "")
        noticed: list[Noticed] = []
        elsewhere = set().union(*self._known.values())
        for file in changed:
            unknown = self._name(file.path) not in self._known
            fresh, notes, sure = self._fresh(file)
            if fresh or notes:
                why_not = why or ("" if sure else "which of its comments are new is not known")
                if not why_not and unknown and not elsewhere.isdisjoint(_keys(fresh)):
                    why_not = "it stood in another file before, so this one may have been moved or copied"
                why_not = why_not or await self._by_git(file)
                if not why_not:
                    name = self._name(file.path)
                    self.notes[name] = (*self.notes.get(name, ()), *notes)
                if fresh:
                    noticed.append(Noticed(file, fresh, why_not))
        return noticed

    async def standing(self, file: FileText, asked: tuple[Remark, ...]) -> list[Remark]:
        """Return those of the comments that stand in the file still."""
        now = await self._read(file.path)
        keys = _keys(remarks(now.text, file.path.shown)) if now is not None else set()
        return [one for one in asked if (one.kind, one.said) in keys]

    def _fresh(self, file: FileText) -> tuple[tuple[Remark, ...], tuple[Remark, ...], bool]:
        """Return the new comments of a file, those that ask for something and the notes, and whether it is sure that they are.

        From now on they are known.
        """
        name = self._name(file.path)
        now = remarks(file.text, name)
        unsure = name in self._unsure if self._unsure is not None else name not in self._known
        known = self._known.get(name, set())
        if self._unsure is not None:
            self._unsure.discard(name)
        self._known[name] = _keys(now)
        self.notes[name] = tuple(one for one in self.notes.get(name, ()) if (one.kind, one.said) in self._known[name])
        fresh = [one for one in now if (one.kind, one.said) not in known]
        asking, notes = ([one for one in fresh if (one.kind == "note") is wanted] for wanted in (False, True))
        return tuple(asking), tuple(notes), not unsure

    async def _absorb(self) -> bool:
        """Take in what jumar changed, this session or another, be it by undoing: comments that it brought are no person's.

        Return whether a command of another session may change something yet.
        """
        if self._ledger is None:
            return False
        try:
            async with self._ledger.together.alone():  # what somebody changes is recorded before they let go of it
                links = self._ledger.since(self._seal)
                busy = bool(self._ledger.together.running(""))
        except JumarError:
            return False
        for link in links:
            self._seal = link.seal
            action = link.action
            if action.kind == "outside":
                continue
            names = {delta.path for delta in action.deltas}
            try:
                contents = await self._ledger.contents(action) if len(names) <= _MOST_DELTAS else []
            except JumarError:
                contents = []
            for delta, before, after in contents:
                names.discard(delta.path)
                if after is None:
                    self._known.pop(delta.path, None)
                    continue
                was = _keys_of(before.content, delta.path) if before is not None else set()
                known = self._known.get(delta.path, set())
                # What stood there before, and nobody had noticed yet, is somebody else's.
                self._known[delta.path] = {key for key in _keys_of(after.content, delta.path) if key in known or key not in was}
                self._left[delta.path] = hashlib.sha256(after.content).hexdigest()
            if self._unsure is not None:
                self._unsure |= names
        return busy

    def _fitting(self, paths: tuple[str, ...]) -> Iterator[Located]:
        """Yield those that may be looked at: below the folder, not ignored, no links, no secrets."""
        walk = Walk(self._workspace.root)
        for path in paths[:_MOST_LOOKED]:
            located = self._workspace.locate(path)
            if str(located.real) != path or not located.real.is_relative_to(self._folder) or not _is_fit(located):
                continue
            if _is_file(path) and not walk.ignores(self._name(located)):
                yield located

    async def _read(self, located: Located) -> FileText | None:
        try:
            file = await asyncio.to_thread(self._workspace.read, located)
        except (ToolFailure, OSError):
            return None
        return file if len(file.text) <= _LARGEST else None

    async def _by_git(self, file: FileText) -> str:
        """Return why git may have brought what stands in a file, as a clause: a person's new words are not in its index yet."""
        folders = [folder for folder in file.path.real.parents if folder.is_relative_to(self._workspace.root)]
        # What lies in a repository within the other one, be it a submodule, is that one's.
        git = next((Git(folder) for folder in folders if os.path.lexists(folder / ".git")), None)
        if git is None or not git.is_there:
            return ""
        raw = encode(file.text, file.encoding, file.bom, file.path.shown)
        name = str(file.path.real.relative_to(git.root))
        try:
            listed = await git.run("--literal-pathspecs", "ls-files", "-s", "-z", "--", name)
        except JumarError:
            return ""
        # Of each: its mode, what it is called, and 0, or another number while a merge of it has not ended.
        entries = [line.partition(b"\t")[0].split(b" ") for line in listed.out.split(b"\0")]
        told = [(entry[1], entry[2]) for entry in entries if len(entry) == 3]
        if any(stage != b"0" for _, stage in told):
            return "a merge of the file has not ended, so git may have brought it"
        mine = {_object(one, len(name)) for name, _ in told for one in (raw, raw.replace(b"\r\n", b"\n"))}
        return "it is as git has it, so git may have brought it" if any(name in mine for name, _ in told) else ""

    def _name(self, located: Located) -> str:
        return os.path.relpath(located.real, self._workspace.root)


def _is_file(path: str) -> bool:
    """Whether a file is there: what an editor saves by way of is gone again."""
    try:
        return stat.S_ISREG(os.lstat(path).st_mode)
    except OSError:
        return False


def _is_fit(located: Located) -> bool:
    return located.place is Place.INSIDE and not located.secret


def _keys(some: tuple[Remark, ...]) -> set[_Key]:
    return {(one.kind, one.said) for one in some}


def _keys_of(content: bytes, name: str) -> set[_Key]:
    decoded = decode(content)
    return _keys(remarks(decoded.text, name)) if decoded is not None and len(decoded.text) <= _LARGEST else set()


def _object(raw: bytes, length: int) -> bytes:
    """Return what git calls these bytes, in as many digits."""
    whole = b"blob %d\0" % len(raw) + raw
    return (hashlib.sha256(whole) if length == 64 else hashlib.sha1(whole, usedforsecurity=False)).hexdigest().encode()
