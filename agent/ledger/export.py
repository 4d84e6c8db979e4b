"""Owns writing the ledger out as plain git commits: one an action, on a new branch, nothing else of the repository touched."""

import re
import stat
from collections.abc import Sequence
from datetime import datetime

from agent.errors import UsageError
from agent.ledger.action import Action, Held
from agent.ledger.blobs import Blobs
from agent.safe import mended
from agent.workspace.git import Git

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]*")


async def export(actions: Sequence[Action], blobs: Blobs, git: Git, branch: str) -> int:
    """Write the actions to a new branch of the person's repository; return how many commits that made. Raises UsageError."""
    if not git.is_there:
        raise UsageError(f"{git.root} is no git repository that a branch could be written to; git init makes it one")
    reference = f"refs/heads/{branch}"
    if branch == "HEAD" or not _NAME.fullmatch(branch) or (await git.run("check-ref-format", reference, most=1)).code:
        raise UsageError(f"{branch!r} is no name of a branch")
    if not (await git.run("rev-parse", "--verify", "--quiet", reference, most=1)).code:
        raise UsageError(f"the branch {branch!r} is there already; export to a new one")
    head = (await git.run("rev-parse", "--verify", "--quiet", "HEAD^{commit}", most=1)).out.decode("ascii").strip()
    told = [action for action in actions if any(not delta.why for delta in action.deltas)]
    if not told:
        raise UsageError("the ledger holds no action that changed a file")
    names = {held.object for action in told for delta in action.deltas if (held := delta.after) is not None and not delta.why}
    contents = await blobs.get(names)
    stream = b"".join(_commit(action, contents, reference, head if number == 0 else "") for number, action in enumerate(told))
    await git.run("fast-import", "--quiet", "--date-format=raw", stdin=stream + b"done\n")
    return len(told)


def _commit(action: Action, contents: dict[str, bytes], reference: str, parent: str) -> bytes:
    message = mended(_message(action)).replace("\0", "\ufffd").encode()
    lines = [
        f"commit {reference}".encode(),
        f"committer jumar <jumar@localhost> {_seconds(action)} +0000".encode(),
        b"data %d" % len(message),
        message,
    ]
    if parent:
        lines.append(f"from {parent}".encode())
    deltas = [delta for delta in action.deltas if not delta.why]
    for delta in sorted(deltas, key=lambda one: one.after is not None):  # what goes makes room
        path = _quoted(delta.path)
        if delta.after is None:
            lines.append(b"D " + path)
        else:
            content = contents[delta.after.object]
            lines += [b"M %s inline %s" % (_mode(delta.after), path), b"data %d" % len(content), content]
    return b"\n".join(lines) + b"\n"


def _message(action: Action) -> str:
    title = " ".join((action.title or action.kind).split())[:200]
    trailers = {
        "Action": action.id,
        "Session": action.session,
        "Model": action.model,
        "Approved-By": action.approved_by,
        "Rule": action.rule,
        "Undoes": ", ".join(action.undoes),
    }
    told = [f"{name}: {' '.join(value.split())}" for name, value in trailers.items() if value]
    return "\n".join(
        [f"{action.tool}: {title}" if action.tool else title, "", *([action.prompt, ""] if action.prompt else []), *told]
    )


def _seconds(action: Action) -> int:
    return int(datetime.fromisoformat(action.ts).timestamp()) if action.ts else 0


def _mode(held: Held) -> bytes:
    if stat.S_ISLNK(held.mode):
        return b"120000"
    return b"100755" if held.mode & 0o100 else b"100644"


def _quoted(path: str) -> bytes:
    raw = path.encode("utf-8", "surrogateescape")
    return b'"' + raw.replace(b"\\", b"\\\\").replace(b'"', b'\\"').replace(b"\n", b"\\n") + b'"'
