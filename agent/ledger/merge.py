"""Owns taking a change out of a file that has changed since: whole where it can be, else by a merge of three texts."""

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from agent.workspace.git import Git
from agent.workspace.tree import Thing

Preference = Literal["", "ours", "theirs", "markers"]  # ours: what is there now; theirs: what was before the action


@dataclass(frozen=True, slots=True)
class Clash:
    """Why a change cannot be taken out, and the lines that are in the way."""

    why: str
    lines: str = ""


class Merging:
    """Merges with git's own merge of files, in a folder outside the workspace."""

    def __init__(self, git: Git, folder: Path) -> None:
        self._git = git
        self._folder = folder

    async def taken_out(
        self, now: Thing | None, after: Thing | None, before: Thing | None, preference: Preference = ""
    ) -> Thing | Clash | None:
        """Return what stands there once the change from `before` to `after` is taken out of what stands there `now`."""
        if now == before:
            return now
        if now == after:
            return before
        if now is None and not preference:
            return Clash("it was deleted since")
        if now is None or before is None or after is None or now.is_link or before.is_link or after.is_link:
            if preference:
                return before if preference == "theirs" else now
            return Clash("it was changed since" if after is not None else "a new one was made since")
        content = await self._content(now.content, after.content, before.content, preference)
        if isinstance(content, Clash):
            return content
        # A mode is the person's where they, or the action, did not touch it.
        mode = before.mode if before.mode != after.mode and now.mode == after.mode else now.mode
        return Thing(content, mode)

    async def _content(self, now: bytes, after: bytes, before: bytes, preference: Preference) -> bytes | Clash:
        if now in (after, before) or before == after:
            return before if now == after else now
        if b"\0" in now + after + before:
            if preference:
                return before if preference == "theirs" else now
            return Clash("it was changed since, and is no text that could be merged")
        with tempfile.TemporaryDirectory(dir=self._folder, prefix="merge-") as folder:
            files = [Path(folder) / name for name in ("now", "after", "before")]
            for file, content in zip(files, (now, after, before), strict=True):
                file.write_bytes(content)
            how = () if preference in {"", "markers"} else (f"--{preference}",)
            labels = [word for label in ("now", "after the action", "before the action") for word in ("-L", label)]
            merged = await self._git.run("merge-file", "-p", "--diff3", *how, *labels, *map(os.fspath, files), most=127)
        if merged.code and preference != "markers":
            return Clash("the same lines were changed since", _clashing(merged.out))
        return merged.out


def _clashing(merged: bytes) -> str:
    """Return the parts of a merge that are in dispute."""
    kept: list[str] = []
    inside = False
    for line in merged.decode("utf-8", "replace").split("\n"):
        inside = inside or line.startswith("<<<<<<< ")
        if inside:
            kept.append(line)
        if line.startswith(">>>>>>> "):
            inside = False
    return "\n".join(kept)
