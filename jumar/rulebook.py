"""Owns the rules that hold in a work tree: where each comes from, and keeping those that a person wants to last."""

import fcntl
import json
import os
import re
import tempfile
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from agent.config import Config
from agent.errors import UsageError
from agent.events.call import RuleScope
from agent.rules import NETWORK, Decision, Rule
from agent.safe import safe_line
from jumar.home import Home

PROJECT = Path(".jumar") / "rules.toml"
_LARGEST = 256 << 10  # bytes of a project's file
_DEEP = re.compile(rb"(?:\.[^.\n=]{1,64}){64}")  # a name of so many parts, which takes very long to parse


class _Remembered(BaseModel):
    """What `rules.json` holds: of every work tree, and of some."""

    model_config = ConfigDict(extra="forbid")

    always: list[str] = []
    workspaces: dict[str, list[str]] = {}


class _Project(BaseModel):
    """What a repository may say: only what narrows."""

    model_config = ConfigDict(extra="forbid")

    ask: list[str] = []
    deny: list[str] = []


@dataclass(frozen=True, slots=True)
class Held:
    """The rules that hold, and what to warn of."""

    rules: tuple[Rule, ...]
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Rulebook:
    """The rules of one work tree. Nothing of the repository is read before it is trusted: who asks for its rules sees to that."""

    home: Home
    root: Path
    tools: Iterable[str]

    def rules(self, settings: Config, allow: Sequence[str] = (), deny: Sequence[str] = (), *, trusted: bool = True) -> Held:
        """Return all that hold. Raises UsageError where one cannot be read: a rule that is passed over would be a hole."""
        remembered = self._remembered()
        here = remembered.workspaces.get(str(self.root), [])
        project, warnings = self._project() if trusted else (_Project(), ())
        rules = (
            *_read(settings.allow, Decision.ALLOW, "config.toml"),
            *_read(settings.ask, Decision.ASK, "config.toml"),
            *_read(settings.deny, Decision.DENY, "config.toml"),
            *_read(remembered.always, Decision.ALLOW, "what you allowed always"),
            *_read(here, Decision.ALLOW, "what you allowed in this work tree"),
            *_read(project.ask, Decision.ASK, str(PROJECT)),
            *_read(project.deny, Decision.DENY, str(PROJECT)),
            *_read(allow, Decision.ALLOW, "--allow"),
            *_read(deny, Decision.DENY, "--deny"),
        )
        known = {*self.tools, NETWORK}
        for rule in rules:
            if rule.tool not in known:
                near = get_close_matches(rule.tool, known, n=1)
                hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(sorted(known))}"
                raise UsageError(f"{rule.source}: there is no tool {rule.tool!r} to make the rule {str(rule)!r} for; {hint}")
        return Held(rules, warnings)

    def keep(self, scope: RuleScope, rules: tuple[Rule, ...]) -> None:
        """Have rules that allow hold from now on, in this work tree or in all. Raises UsageError."""
        with self._alone():
            remembered = self._remembered()
            always, here = list(remembered.always), list(remembered.workspaces.get(str(self.root), []))
            kept = always if scope == "always" else here
            kept += [str(rule) for rule in rules if str(rule) not in kept]
            self._write(_Remembered(always=always, workspaces={**remembered.workspaces, str(self.root): here}))

    def forget(self, text: str) -> bool:
        """Have a remembered rule hold no more, here and always; False where none of that text was. Raises UsageError."""
        with self._alone():
            remembered = self._remembered()
            here = remembered.workspaces.get(str(self.root), [])
            if text not in {*remembered.always, *here}:
                return False
            always = [rule for rule in remembered.always if rule != text]
            left = [rule for rule in here if rule != text]
            self._write(_Remembered(always=always, workspaces={**remembered.workspaces, str(self.root): left}))
            return True

    def _remembered(self) -> _Remembered:
        try:
            return _Remembered.model_validate_json(self.home.rules.read_bytes())
        except FileNotFoundError:
            return _Remembered()
        except (OSError, ValidationError) as error:
            fault = error.strerror if isinstance(error, OSError) else "it is not as jumar wrote it"
            raise UsageError(f"{self.home.rules} cannot be read: {fault}; mend it, or remove it and allow again") from None

    def _project(self) -> tuple[_Project, tuple[str, ...]]:
        path = self.root / PROJECT
        try:
            raw = _bytes_of(self.root, PROJECT)
        except FileNotFoundError:
            return _Project(), ()
        except OSError as error:
            raise UsageError(f"{safe_line(str(path))} cannot be read: {error.strerror or error}") from None
        try:
            if _DEEP.search(raw):
                raise UsageError(f"{safe_line(str(path))} is no TOML: it has names of too many parts")
            found: Mapping[str, object] = tomllib.loads(raw.decode("utf-8"))
            widens = ("allow" in found) * (f"{PROJECT}: what it allows is passed over; a repository's rules may only narrow",)
            return _Project.model_validate({name: value for name, value in found.items() if name != "allow"}), widens
        except (UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
            raise UsageError(f"{safe_line(str(path))} is no TOML: {safe_line(str(error))}") from None
        except ValidationError:
            raise UsageError(f"{safe_line(str(path))} may hold two lists of rules, ask and deny, and nothing else") from None

    def _write(self, remembered: _Remembered) -> None:
        try:
            fd, name = tempfile.mkstemp(dir=self.home.state, prefix=".rules.")
            with os.fdopen(fd, "w", encoding="utf-8") as file:
                lasting = {root: rules for root, rules in sorted(remembered.workspaces.items()) if rules}
                json.dump({"always": remembered.always, "workspaces": lasting}, file, indent=1, ensure_ascii=False)
                file.flush()
                os.fsync(file.fileno())
            Path(name).replace(self.home.rules)
        except OSError as error:
            raise UsageError(f"cannot remember rules in {self.home.state}: {error.strerror}", 1) from error

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Let nobody else change the file meanwhile."""
        try:
            self.home.state.mkdir(parents=True, exist_ok=True, mode=0o700)
            handle = os.open(self.home.state / ".rules.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except OSError as error:
            raise UsageError(f"cannot remember rules in {self.home.state}: {error.strerror}", 1) from error
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)


def _read(texts: Iterable[str], decision: Decision, source: str) -> tuple[Rule, ...]:
    return tuple(Rule.read(text, decision, source) for text in texts)


def _bytes_of(root: Path, path: Path) -> bytes:
    """Read a file of a repository that no link leads out of."""
    handle = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for name in path.parts[:-1]:
            inner = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=handle)
            os.close(handle)
            handle = inner
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        with os.fdopen(os.open(path.name, flags, dir_fd=handle), "rb") as file:
            raw = file.read(_LARGEST + 1)
    finally:
        os.close(handle)
    if len(raw) > _LARGEST:
        raise OSError(0, f"it is larger than {_LARGEST >> 10} KiB")
    return raw
