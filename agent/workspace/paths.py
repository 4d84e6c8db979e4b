"""Owns where paths lie: inside the workspace, protected, outside, hidden or secret; component by component, links followed."""

import os
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from agent.safe import safe_line
from agent.workspace.contract import Located, Place
from agent.workspace.secrets import are_of_secret, is_folder_of_secrets

# What other programs act on when they find it, so that writing it is more than writing a file.
_PROTECTED = """
.git .gitmodules .gitattributes .hg .svn .husky .pre-commit-config.yaml .github .gitlab-ci.yml .circleci .devcontainer
.vscode .idea .agents .cursor .claude .codex .gemini .kimi .jumar .mcp.json .cursorrules agents.md claude.md gemini.md
.envrc .env .npmrc .yarnrc .yarnrc.yml .pypirc pip.conf .netrc sitecustomize.py usercustomize.py
.bashrc .bash_profile .bash_login .bash_logout .profile .zshrc .zshenv .zprofile .inputrc .gitconfig .vimrc .exrc
"""
PROTECTED = frozenset(_PROTECTED.split())
_HARMLESS_ENV = (".example", ".sample", ".template")

# Below a home folder: what a key, a password or a token stands in.
_CREDENTIALS = (
    *(".ssh", ".gnupg", ".aws", ".azure", ".kube", ".docker/config.json", ".netrc", ".git-credentials", ".pgpass"),
    *(".config/gcloud", ".config/gh", ".config/git/credentials", ".password-store", ".local/share/keyrings", ".pypirc"),
)
# What the machine's users log in with: root alone can read it.
_OF_MACHINE = tuple(map(Path, ("/etc/shadow", "/etc/shadow-", "/etc/gshadow", "/etc/gshadow-", "/etc/ssl/private")))
_DEVICES = (Path("/proc"), Path("/dev"), Path("/sys"))


class Paths:
    """Knows the workspace's folders. `spill` may be read from though it lies in what is hidden."""

    def __init__(
        self, root: Path, cwd: Path, *, spill: Path, add_dirs: Sequence[Path], hidden: Sequence[Path], person: Path | None
    ) -> None:
        self.root = _real(root)
        self.cwd = _real(cwd)
        self.spill = _real(spill)
        self._person = person
        self.folders = (self.root, *(_real(folder) for folder in add_dirs))
        credentials = [person / name for name in _CREDENTIALS] if person is not None else []
        logins = [path for path in _OF_MACHINE if os.access(path, os.R_OK)]
        self._hidden = (*(_real(path) for path in (*hidden, *credentials, *logins)), *_DEVICES)
        self._hidden_parts = frozenset(_folded_parts(path) for path in self._hidden)
        self._hidden_depths = sorted({len(parts) for parts in self._hidden_parts})

    def locate(self, path: str) -> Located:
        """Say where a path lies. Never fails."""
        asked = path.replace("\0", "\ufffd").encode("utf-8", "surrogateescape" if _is_name(path) else "replace")
        name = os.fsdecode(asked)
        if self._person is not None and (name == "~" or name.startswith("~/")):
            name = f"{self._person}{name[1:]}"
        joined = os.path.join(self.cwd, name)  # noqa: PTH118 - a Path would drop what normpath and realpath are to see
        named = os.path.normpath(joined).replace("//", "/", 1)  # POSIX lets two slashes at its head stand
        real = _real(joined)
        shown = self.shown(real)
        if str(real) == named:
            return Located(path, real, self._place(real, real), shown, shown, self._is_secret(real))
        lexical = Path(named)
        secret = self._is_secret(lexical) or self._is_secret(real)
        return Located(path, real, self._place(lexical, real), shown, self.shown(lexical), secret)

    def shown(self, real: Path) -> str:
        """Return a path as it is told: relative to the current folder where it is in the workspace."""
        if any(_within(real, folder) for folder in self.folders):
            below = real.parts[len(self.cwd.parts) :] if _within(real, self.cwd) else ()
            return safe_line("/".join(below) or os.path.relpath(real, self.cwd))
        return safe_line(str(real))

    def base(self, real: Path) -> Path:
        """Return the folder below which no link may stand on the way to a file: an attacker cannot change what is above."""
        return next((folder for folder in (*self.folders, self.spill) if _within(real, folder) and real != folder), Path("/"))

    def hidden_files(self) -> tuple[Path, ...]:
        """Return what is hidden, but for devices: what a command may not see either."""
        return tuple(path for path in self._hidden if path not in _DEVICES)

    def readable(self, starts: Iterable[Path]) -> list[str]:
        """Return what a look from these may read: of a folder that ends with a slash the names, and nothing that is hidden."""
        known = (*self.folders, self.spill)
        others = (start for start in starts if not any(_within(start, folder) for folder in known))
        found: list[str] = []
        for folder in dict.fromkeys((*known, *others)):
            found += (f"{folder}/", *visible(folder, self.hidden_files()))
        return found

    def names(self, path: Path) -> tuple[str, ...]:
        """Return the parts of a path, from the folder of the workspace down, that say whether it is a secret."""
        folder = next((folder for folder in self.folders if _within(path, folder)), Path("/"))
        return tuple(_folded(part) for part in path.parts[len(folder.parts) :])

    def holds_hidden(self, folder: Path) -> bool:
        """Whether anything that is hidden lies below a folder."""
        parts = _folded_parts(folder)
        return any(len(hidden) > len(parts) and hidden[: len(parts)] == parts for hidden in self._hidden_parts)

    def _is_secret(self, path: Path) -> bool:
        if _within(path, self.spill):
            return False
        names = self.names(path)
        if not are_of_secret(names):
            return bool(names) and is_folder_of_secrets(names[-1])
        return is_folder_of_secrets(names[-1]) or not path.is_dir()

    def _place(self, lexical: Path, real: Path) -> Place:
        if _within(real, self.spill):
            return Place.INSIDE
        for path in (lexical, real) if lexical is not real else (real,):
            # On some file systems case and composition of letters do not matter.
            parts = _folded_parts(path)
            if any(parts[:depth] in self._hidden_parts for depth in self._hidden_depths):
                return Place.HIDDEN
        folder = next((folder for folder in self.folders if _within(real, folder)), None)
        if folder is None:
            return Place.OUTSIDE
        above = len(folder.parts)
        below = real.parts[above:] + (lexical.parts[above:] if lexical is not real and _within(lexical, folder) else ())
        return Place.PROTECTED if any(_is_protected(_folded(part)) for part in below) else Place.INSIDE


def visible(folder: Path, hidden: Sequence[Path]) -> Iterator[str]:
    """Yield what of a folder may be read where some of it is hidden: the whole where nothing is, else what lies beside that."""
    if folder in hidden or folder.is_symlink():  # where it leads is named by itself, if it may be read
        return
    if not any(one.is_relative_to(folder) for one in hidden):
        yield str(folder)
        return
    try:
        names = sorted(os.listdir(folder))  # noqa: PTH208 - names alone
    except OSError:
        return
    for name in names:
        yield from visible(folder / name, hidden)


def _is_name(text: str) -> bool:
    """Whether the file system can have such a name: bytes that are no text stand as lone surrogates."""
    try:
        os.fsencode(text)
    except UnicodeEncodeError:
        return False
    return True


def _real(path: str | Path) -> Path:
    """Follow links; where one vanishes meanwhile, the path as it was named: no link in it is followed when it is opened."""
    try:
        return Path(os.path.realpath(path))
    except OSError:
        return Path(os.path.normpath(path))


def _within(path: Path, folder: Path) -> bool:
    return path.parts[: len(folder.parts)] == folder.parts


def _folded_parts(path: Path) -> tuple[str, ...]:
    return tuple(_folded(part) for part in path.parts)


def _folded(name: str) -> str:
    if name.isascii():
        return name.lower().rstrip(". ") if name not in {".", ".."} else name
    visible = "".join(letter for letter in name if unicodedata.category(letter) != "Cf")
    return unicodedata.normalize("NFC", visible).casefold().rstrip(". ") if visible not in {".", ".."} else visible


def is_protected(name: str) -> bool:
    """Whether other programs act on a file that is called so."""
    return _is_protected(_folded(name))


def _is_protected(name: str) -> bool:
    if name in PROTECTED or name.endswith(".pth"):
        return True
    return name.startswith(".env.") and not name.endswith(_HARMLESS_ENV)
