"""Owns which hosts the words of a command name."""

import re
from urllib.parse import urlsplit

from agent.command.parts import Word
from agent.errors import UsageError
from agent.workspace.hosts import rule, split

_URL = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]*://")
_BARE = re.compile(
    r"(?:localhost|[0-9]{1,3}(?:\.[0-9]{1,3}){3}|\[[0-9a-fA-F:.]+\]|(?:[\w-]+\.)+[a-zA-Z]{2,})(?::[0-9]+)?(?=[/?#]|$)"
)
_REMOTE = re.compile(r"(?:[\w.-]+@)?([\w.-]+):(?!//)")
_PORTS = {"ssh": 22, "git": 9418, "ftp": 21, "ftps": 990, "sftp": 22, "git+ssh": 22, "ws": 80, "wss": 443, "rsync": 873}
_SEVERAL = re.compile(r"[{}\[\]]")


def hosts_of(words: tuple[Word, ...], *, bare: bool = False, remote: int = 22) -> tuple[str, ...]:
    """Return the hosts that these words name, as rules name them; nothing where one cannot be told.

    `bare` names stand without a scheme; of `host:path` the port is `remote`.
    """
    found: list[str] = []
    for word in words:
        text = word.text
        if not word.literal:
            return ()
        if text.startswith("-"):
            text = text.partition("=")[2]
        host = ""
        if _URL.match(text):
            host = _of_url(text)
            if not host:
                return ()
        elif bare and (named := _BARE.match(text)):
            host = _ruled(named[0])
        elif not bare and remote and (named := _REMOTE.match(text)) and "/" not in named[0] and len(named[1]) > 1:
            host = _ruled(f"{named[1]}:{remote}")
        if host:
            found.append(host)
    return tuple(dict.fromkeys(found))


def is_url(text: str) -> bool:
    """Whether a word is a URL."""
    return bool(_URL.match(text))


def _of_url(text: str) -> str:
    try:
        parts = urlsplit(text)
        place = parts.netloc.rpartition("@")[2]
        name, port = split(place)
    except ValueError:
        return ""
    scheme = parts.scheme.removeprefix("git+") if parts.scheme != "git+ssh" else "ssh"
    port = port or _PORTS.get(scheme)
    return _ruled(name if port in {None, 80, 443} else f"{name}:{port}")


def _ruled(text: str) -> str:
    """Return a host as a rule names it; nothing where it is no host, or a glob."""
    if text.startswith((".", "*")) or (_SEVERAL.search(text) and not text.startswith("[")):
        return ""
    try:
        rule(text)
    except UsageError:
        return ""
    return text.lower()
