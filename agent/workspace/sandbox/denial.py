"""Owns guessing from how a command ended whether the sandbox kept it from something."""

import re
from collections.abc import Sequence

from agent.safe import safe_line
from agent.workspace.contract import Confinement

_NETWORK = re.compile(
    r"could not resolve (?:host|proxy)|name or service not known|temporary failure in name resolution|network is unreachable"
    r"|getaddrinfo|EAI_AGAIN|ENETUNREACH|nodename nor servname|failed to lookup address|no such host|dns error"
    r"|NameResolutionError|Failed to establish a new connection|couldn't connect to server|connection refused.{0,40}:53\b",
    re.IGNORECASE,
)
_READ_ONLY = re.compile(r"read-only file system|EROFS", re.IGNORECASE)
_REFUSED = re.compile(r"permission denied|operation not permitted|EACCES|EPERM|device or resource busy", re.IGNORECASE)
_GIT = re.compile(r"\.git(?:/|\b)|index\.lock|unable to create|cannot lock ref|could not write config", re.IGNORECASE)


def stopped(exit_code: int, output: str, confined: Confinement, refused: Sequence[str], sandbox: str) -> str:
    """Return what the sandbox seems to have kept a command from, as a clause; empty where it seems to be something else."""
    if refused:
        return f"it tried to reach {', '.join(safe_line(host) for host in refused[:5])}"
    if exit_code == 0:
        return ""
    if not confined.hosts and _NETWORK.search(output):
        return "the network is closed to it"
    if _READ_ONLY.search(output):
        if not confined.writes:
            return "nothing can be written"
        return "git's own folder is read-only to it" if _GIT.search(output) else "only the workspace and /tmp can be written"
    if sandbox == "landlock" and _REFUSED.search(output):
        return "only the workspace and its TMPDIR can be written, and the network is closed to it"
    if _REFUSED.search(output) and _GIT.search(output) and confined.writes:
        return "git's hooks and settings are read-only to it"
    return ""
