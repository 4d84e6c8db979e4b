"""Owns committing parts of changes into the person's repository, as their own `git commit` would: with their hooks and name.

The commit is made of HEAD and the chosen parts, in an index of its own. What the person has staged stays staged, and what they
changed beside stays as it is.
"""

import asyncio
import os
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

from agent.errors import JumarError, UsageError
from agent.ledger.merge import Clash, Merging
from agent.ledger.partly import Part
from agent.safe import safe_line, safe_text
from agent.workspace.git import Git
from agent.workspace.tree import Thing

_LINK, _PROGRAM, _FILE = 0o120000, 0o100755, 0o100644
_UNDER_WAY = ("MERGE_HEAD", "CHERRY_PICK_HEAD", "REVERT_HEAD", "rebase-merge", "rebase-apply")
_MOST_TOLD = 2000  # characters of what hooks printed


@dataclass(frozen=True, slots=True)
class Entry:
    """A file as git has it: mode and object; the mode 0 stands for: not there."""

    mode: int = 0
    object: str = ""


@dataclass(frozen=True, slots=True)
class Committed:
    """What became of it: what git printed, and paths that were not committed, or whose staging stayed as it was, and why."""

    printed: str
    left: tuple[tuple[str, str], ...] = ()


class Committing:
    """Commits in the work tree at `root`, with the person's own settings and hooks: they ask for it."""

    def __init__(self, root: Path, environment: Mapping[str, str], merging: Merging) -> None:
        self._root = root
        self._merging = merging
        self._program = Git(root).program()
        self._environment = {
            **{name: value for name, value in environment.items() if not name.startswith("GIT_")},
            **{name: value for name, value in environment.items() if name.startswith(("GIT_AUTHOR_", "GIT_COMMITTER_"))},
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_EDITOR": ":",
            "LC_ALL": "C.UTF-8",
        }

    async def commit(self, parts: Sequence[Part], message: str) -> Committed:
        """Commit parts. Raises JumarError where it cannot be, or where git or a hook refuses; then nothing is changed."""
        if not message.strip():
            raise UsageError("a commit needs a message")
        await self._demand_ready()
        head = await self._head()
        before = await self._tree_entries(head, [part.path for part in parts])
        ignored = await self._ignored([path for path, entry in before.items() if not entry.mode])
        left = [(path, "git ignores it") for path in before if path in ignored]
        left += [(path, "it lies in a repository of its own") for path in before if self._is_nested(path)]
        chosen = [part for part in parts if part.path not in dict(left)]
        if not chosen:
            raise UsageError(f"nothing was committed: {left[0][0]}: {left[0][1]}" if left else "nothing is chosen")
        with tempfile.TemporaryDirectory(prefix="jumar-commit-") as folder:
            index = {"GIT_INDEX_FILE": f"{folder}/index"}
            await self._git("read-tree", head or "--empty", more=index)
            for part in sorted(chosen, key=lambda part: part.alone() is not None):  # what goes makes room
                await self._put(part.path, await self._entry(part, before[part.path]), index)
            printed = await self._git("commit", "-F", "-", stdin=message.encode("utf-8", "replace"), more=index)
        after = await self._tree_entries(await self._head(), [part.path for part in chosen])
        stays = [part.path for part in chosen if not await self._settle(part, before[part.path], after[part.path])]
        left += [(path, "it is committed; what you had staged of it stays as it was") for path in stays]
        return Committed(safe_text(os.fsdecode(printed)).strip()[-_MOST_TOLD:], tuple(left))

    async def _ignored(self, paths: Sequence[str]) -> set[str]:
        """Return which of these paths git does not track and ignores."""
        if not paths:
            return set()
        names = b"".join(os.fsencode(path) + b"\0" for path in paths)
        found = await self._git("check-ignore", "-z", "--stdin", stdin=names, most=1)
        return {os.fsdecode(name) for name in found.split(b"\0") if name}

    def _is_nested(self, path: str) -> bool:
        """Whether it lies in a repository of its own."""
        return any((self._root / above / ".git").exists() for above in PurePath(path).parents if above != PurePath())

    async def _demand_ready(self) -> None:
        for name in _UNDER_WAY:
            path = os.fsdecode(await self._git("rev-parse", "--git-path", name)).strip()
            if (self._root / path).exists():
                raise UsageError("a merge or a rebase is under way in the repository: end it first")
        if await self._git("ls-files", "-u", "-z"):
            raise UsageError("the index holds files with conflicts: resolve them first")

    async def _head(self) -> str:
        return os.fsdecode(await self._git("rev-parse", "--verify", "-q", "HEAD", most=1)).strip()

    async def _entry(self, part: Part, before: Entry) -> Entry:
        """Return what the commit holds of a file: what HEAD has, with the part's change made to it."""
        committed = await self._thing(part.path, before)
        found, wanted = _as_git_has_it(part.before), _as_git_has_it(part.alone())
        if committed is None:
            return await self._kept(part.path, wanted)
        thing = await self._merging.taken_out(committed, found, wanted)
        if isinstance(thing, Clash):
            why = "what was chosen of it builds on changes of yours that are not committed; commit those first, or leave it out"
            raise UsageError(f"{part.path}: {why}")
        return await self._kept(part.path, thing)

    async def _kept(self, path: str, thing: Thing | None) -> Entry:
        if thing is None:
            return Entry()
        if thing.is_link:
            name = await self._git("hash-object", "-w", "--no-filters", "--stdin", stdin=thing.content)
            return Entry(_LINK, os.fsdecode(name).strip())
        name = await self._git("hash-object", "-w", "--path", path, "--stdin", stdin=thing.content)
        return Entry(_PROGRAM if thing.mode & 0o100 else _FILE, os.fsdecode(name).strip())

    async def _thing(self, path: str, entry: Entry) -> Thing | None:
        """Return what git would write into the work tree for an entry."""
        if not entry.mode:
            return None
        if entry.mode == _LINK:
            return Thing(await self._git("cat-file", "blob", entry.object), _LINK)
        content = await self._git("cat-file", "--filters", f"--path={path}", entry.object)
        return Thing(content, entry.mode)

    async def _put(self, path: str, entry: Entry, more: Mapping[str, str] | None = None) -> None:
        if not entry.mode:
            await self._git("update-index", "-z", "--force-remove", "--stdin", stdin=os.fsencode(path) + b"\0", more=more)
            return
        line = f"{entry.mode:o} {entry.object}\t".encode() + os.fsencode(path) + b"\0"
        await self._git("update-index", "-z", "--index-info", stdin=line, more=more)

    async def _settle(self, part: Part, before: Entry, after: Entry) -> bool:
        """Let the person's index take in what was committed of a file; False where what they staged is in the way."""
        try:
            staged = await self._staged(part.path)
            if staged in (before, after):
                await self._put(part.path, after)
                return True
            now = await self._thing(part.path, staged)
            was = await self._thing(part.path, before) or _as_git_has_it(part.before)
            merged = await self._merging.taken_out(now, was, await self._thing(part.path, after))
            if isinstance(merged, Clash):
                return False
            await self._put(part.path, await self._kept(part.path, merged))
        except JumarError:  # the commit stands
            return False
        return True

    async def _staged(self, path: str) -> Entry:
        out = await self._git("ls-files", "-s", "-z", "--", f":(literal,top){path}")
        for record in out.split(b"\0"):
            words, _, name = record.partition(b"\t")
            if os.fsdecode(name) == path:
                mode, found, _ = words.split(b" ")
                return Entry(int(mode, 8), found.decode("ascii"))
        return Entry()

    async def _tree_entries(self, head: str, paths: Sequence[str]) -> dict[str, Entry]:
        found = dict.fromkeys(paths, Entry())
        if head:
            out = await self._git("ls-tree", "-z", "--full-tree", head, "--", *paths)
            for record in filter(None, out.split(b"\0")):
                words, _, name = record.partition(b"\t")
                mode, kind, blob = words.split(b" ")
                if kind == b"blob" and os.fsdecode(name) in found:
                    found[os.fsdecode(name)] = Entry(int(mode, 8), blob.decode("ascii"))
        return found

    async def _git(self, *arguments: str, stdin: bytes = b"", more: Mapping[str, str] | None = None, most: int = 0) -> bytes:
        """Run git as the person would. Raises JumarError with its last words."""
        words = [self._program, "--literal-pathspecs" if arguments[0] == "ls-tree" else "--no-pager", *arguments]
        environment = {**self._environment, **(more or {})}

        def run() -> subprocess.CompletedProcess[bytes]:
            return subprocess.run(
                words, cwd=self._root, env=environment, input=stdin, capture_output=True, check=False, start_new_session=True
            )

        try:
            ended = await asyncio.to_thread(run)
        except (OSError, ValueError) as error:
            raise JumarError(f"git was not started: {error}") from error
        if not 0 <= ended.returncode <= most:
            told = (ended.stderr + ended.stdout).decode("utf-8", "backslashreplace").strip()
            why = safe_line(told[-_MOST_TOLD:]) or f"it ended with {ended.returncode}"
            raise JumarError(f"git {arguments[0]} failed: {why}")
        return ended.stdout


def _as_git_has_it(thing: Thing | None) -> Thing | None:
    """Return a file with one of the modes that git knows."""
    if thing is None:
        return None
    return Thing(thing.content, _LINK if thing.is_link else _PROGRAM if thing.mode & 0o100 else _FILE)
