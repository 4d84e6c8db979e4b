"""Owns where jumar keeps what it remembers: HOME or JUMAR_HOME alone decide."""

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from agent.errors import UsageError


@dataclass(frozen=True, slots=True)
class Home:
    """The folders of one person."""

    config: Path
    state: Path

    @property
    def sessions(self) -> Path:
        """Where the logs are."""
        return self.state / "sessions"

    @property
    def ledger(self) -> Path:
        """Where the snapshots are."""
        return self.state / "ledger"

    @property
    def code(self) -> Path:
        """Where the indexes of names are."""
        return self.state / "code"

    @property
    def models(self) -> Path:
        """What servers told of their models."""
        return self.state / "models.json"

    @property
    def rules(self) -> Path:
        """The rules that were remembered."""
        return self.state / "rules.json"

    @property
    def trusted(self) -> Path:
        """The list of trusted work trees."""
        return self.state / "trusted.json"


def home(environment: Mapping[str, str]) -> Home:
    """Return the person's folders; nothing is made yet. Raises UsageError."""
    name = "JUMAR_HOME" if environment.get("JUMAR_HOME") else "HOME"
    own = environment.get(name, "")
    if own and not os.path.isabs(own):  # noqa: PTH117 - a string is asked, and pathlib would not care
        raise UsageError(f"{name} must be an absolute path, not {own!r}")  # else a repository would tell where keys go
    if name == "JUMAR_HOME":
        return Home(Path(own), Path(own) / "state")
    if not own:
        raise UsageError("neither HOME nor JUMAR_HOME is set, so there is nowhere to keep sessions")
    person = Path(own)
    if sys.platform == "darwin":
        folder = person / "Library" / "Application Support" / "jumar"
        return Home(folder, folder / "state")
    return Home(person / ".config" / "jumar", person / ".local" / "state" / "jumar")
