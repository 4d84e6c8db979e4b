"""Keys: found in a variable, by a command, in the keyring or in a file; and told to nobody but their own host."""

import asyncio
import os
import pty
import signal
import stat
import sys
import termios
from collections.abc import Awaitable, Callable
from dataclasses import replace
from io import StringIO
from pathlib import Path

import pytest

from agent.config import Config, Connection, EndpointTable
from agent.endpoints import Endpoint, Variable, built_in
from agent.errors import JumarError, UsageError
from agent.keys import Keys
from agent.stored import Found, Stored
from agent.workspace.environment import without
from jumar.home import Home
from jumar.login import log_in
from jumar.wiring import choose, connected_models
from tests.fakes import Response, ScriptedServer, answer, failure
from tests.pty import read_all
from tests.runs import JUMAR, Person

KEY = "sk-secret-0123456789"
LAB = Endpoint("lab", "http://lab:8000/v1", variables=(Variable("LAB"),))
RING = """
import json, os, pathlib
from keyring.backend import KeyringBackend
from keyring.errors import PasswordDeleteError

FILE = pathlib.Path(__file__).with_name("ring.json")

class Ring(KeyringBackend):
    priority = 9
    def _read(self):
        FILE.with_name("asked").touch()
        return json.loads(FILE.read_text()) if FILE.exists() else {}
    def get_password(self, service, username):
        return self._read().get(f"{service} {username}")
    def set_password(self, service, username, password):
        FILE.write_text(json.dumps({**self._read(), f"{service} {username}": password}))
    def delete_password(self, service, username):
        rows = self._read()
        if f"{service} {username}" not in rows:
            raise PasswordDeleteError
        FILE.write_text(json.dumps({name: key for name, key in rows.items() if name != f"{service} {username}"}))
"""


class MemoryRing:
    """A keyring in memory; it refuses where it is told to."""

    def __init__(self, refusal: Exception | None = None) -> None:
        self.held: dict[tuple[str, str], str] = {}
        self.refusal = refusal

    def get_password(self, service: str, username: str) -> str | None:
        self._refuse()
        return self.held.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        self._refuse()
        self.held[service, username] = password

    def delete_password(self, service: str, username: str) -> None:
        self._refuse()
        del self.held[service, username]

    def _refuse(self) -> None:
        if self.refusal:
            raise self.refusal


def stored(tmp_path: Path, ring: MemoryRing | None = None) -> Stored:
    return Stored(tmp_path / "state", lambda: ring)


async def fault_of(keys: Keys | Stored, endpoint: Endpoint) -> str:
    with pytest.raises(UsageError) as raised:
        await keys.find(endpoint)
    words = str(raised.value)
    assert "\n" not in words
    assert KEY not in words
    return words


async def test_a_variable_comes_before_the_command_and_that_before_what_is_stored(tmp_path: Path) -> None:
    kept = stored(tmp_path)
    await kept.keep(LAB, "stored")
    commanded = replace(LAB, key_command=("echo", "commanded"))
    path = {"PATH": os.environ["PATH"]}
    assert await Keys({"LAB": "variable", **path}, kept).find(commanded) == Found("variable", "LAB")
    assert await Keys(path, kept).find(commanded) == Found("commanded", "the key_command of lab (echo)")
    assert await Keys(path, kept).find(LAB) == Found("stored", str(kept.path))
    await kept.forget("lab")
    assert await Keys(path, kept).find(replace(LAB, keyless=True)) is None
    assert "no key" in await fault_of(Keys(path, kept), LAB)


@pytest.mark.parametrize(
    ("endpoint", "environment", "words"),
    [
        (built_in("moonshot-intl"), {}, "export MOONSHOT_API_KEY=…, or run: jumar login moonshot-intl"),
        (built_in("anthropic"), {}, "export ANTHROPIC_API_KEY=…, or run: jumar login anthropic"),
        (
            built_in("openai"),
            {"OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": "http://h/v1"},
            "OPENAI_API_KEY is not for it, but for the host that OPENAI_BASE_URL names",
        ),
        (replace(LAB, own=True), {}, "takes its key from LAB, which is not set; set it, or run: jumar login lab"),
    ],
)
async def test_a_missing_key_is_told_with_what_to_do(
    tmp_path: Path, endpoint: Endpoint, environment: dict[str, str], words: str
) -> None:
    assert words in await fault_of(Keys(environment, stored(tmp_path)), endpoint)


async def test_a_command_is_run_without_a_shell_and_its_first_line_is_the_key(tmp_path: Path) -> None:
    keys = Keys({"PATH": os.environ["PATH"], "MARK": "here"}, stored(tmp_path))
    found = await keys.find(replace(LAB, key_command=("printf", "%s\\nmore\\n", " $(id) `id` ; ")))
    assert found == Found("$(id) `id` ;", "the key_command of lab (printf)")
    found = await keys.find(replace(LAB, key_command=(sys.executable, "-c", "import os; print(os.environ['MARK'], os.getcwd())")))
    assert found is not None
    assert found.key == "here /"
    endless = (sys.executable, "-c", "print('k', 'y' * 10, sep='\\n'); print('z' * 300_000)")
    assert (await keys.find(replace(LAB, key_command=endless)) or Found("", "")).key == "k"


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (("sh", "-c", f"echo {KEY} >&2; exit 3"), "the key_command of lab (sh) ended with 3; run it by hand to see why"),
        (("sh", "-c", "exec sleep 60"), "took more than 0.2 s; run it by hand to see why"),
        (("true",), "said nothing; its first line must be the key"),
        (("no-such-program", KEY), "the key_command of lab (no-such-program) is not there"),
        (("./tool",), "must be a name or an absolute path"),
        ((sys.executable, "-c", "print('z' * 300_000)"), "said a first line that is too long for a key"),
    ],
)
async def test_a_command_that_gives_no_key_is_told_in_one_line(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], command: tuple[str, ...], words: str
) -> None:
    keys = Keys({"PATH": os.environ["PATH"]}, stored(tmp_path), seconds=0.2 if "sleep" in command[-1] else 10)
    assert words in await fault_of(keys, replace(LAB, key_command=command))
    assert KEY not in "".join(capfd.readouterr())


async def test_a_repository_supplies_no_program_that_gives_a_key(tmp_path: Path) -> None:
    program = tmp_path / "pass"
    program.write_text("#!/bin/sh\necho evil\n")
    program.chmod(0o755)
    keys = Keys({"PATH": f".:{os.path.relpath(tmp_path)}"}, stored(tmp_path))
    assert "is not there" in await fault_of(keys, replace(LAB, key_command=("pass",)))


async def test_without_a_keyring_a_key_is_in_a_file_that_nobody_else_reads(tmp_path: Path) -> None:
    kept = stored(tmp_path)
    assert await kept.keep(LAB, KEY) == str(kept.path)
    assert stat.S_IMODE(kept.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(kept.path.parent.stat().st_mode) == 0o700
    assert await kept.find(LAB) == Found(KEY, str(kept.path))
    assert KEY not in repr(await kept.find(LAB))
    assert kept.places() == {"lab": str(kept.path)}
    assert await kept.forget("lab") == str(kept.path)
    assert KEY not in kept.path.read_text()
    with pytest.raises(UsageError, match="no key is stored for 'lab'"):
        await kept.forget("lab")


async def test_a_keyring_keeps_keys_under_our_name_and_the_file_only_knows_that(tmp_path: Path) -> None:
    ring = MemoryRing()
    kept = stored(tmp_path, ring)
    assert await kept.keep(LAB, KEY) == "the keyring"
    assert ring.held == {("jumar", "lab"): KEY}
    assert KEY not in kept.path.read_text()
    assert await kept.find(LAB) == Found(KEY, "the keyring")
    assert await kept.forget("lab") == "the keyring"
    assert not ring.held
    assert await kept.find(LAB) is None


async def test_a_keyring_that_refuses_is_told_and_a_new_key_goes_to_the_file(tmp_path: Path) -> None:
    ring = MemoryRing()
    await stored(tmp_path, ring).keep(LAB, KEY)
    ring.refusal = RuntimeError(f"locked {KEY}")
    assert "could not be asked (RuntimeError); unlock it" in await fault_of(stored(tmp_path, ring), LAB)
    assert "cannot be reached (is jumar[keyring] installed?); run: jumar login lab" in await fault_of(stored(tmp_path), LAB)
    ring.refusal, ring.held = None, {}
    assert "no longer has the key of lab" in await fault_of(stored(tmp_path, ring), LAB)
    ring.refusal = RuntimeError("read only")
    assert await stored(tmp_path, ring).keep(LAB, KEY) == str(stored(tmp_path).path)


async def test_a_stored_key_only_goes_to_the_host_that_it_was_stored_for(tmp_path: Path) -> None:
    kept = stored(tmp_path)
    await kept.keep(LAB, KEY)
    assert await kept.find(replace(LAB, base_url="http://LAB:8000/other/v1")) is not None
    for moved in ("http://lab:8001/v1", "https://lab:8000/v1", "http://evil/v1"):
        words = await fault_of(kept, replace(LAB, base_url=moved))
        assert words == f"the key that is stored for lab is for http://lab:8000, not for {moved}; run: jumar login lab"


@pytest.mark.parametrize(
    "content", ["", "[]", "{", '{"lab": 1}', '{"lab": {"key": "sk-secret-0123456789"}}', '{"lab": {"at": "a", "key": 1}}']
)
async def test_a_damaged_file_of_keys_is_told_without_its_content(tmp_path: Path, content: str) -> None:
    kept = stored(tmp_path)
    kept.path.parent.mkdir()
    kept.path.write_text(content)
    kept.path.chmod(0o600)
    assert "is damaged; remove it, and log in again" in await fault_of(kept, LAB)


async def test_a_file_of_keys_that_others_may_read_is_not_used(tmp_path: Path) -> None:
    kept = stored(tmp_path)
    await kept.keep(LAB, KEY)
    kept.path.chmod(0o640)
    assert f"run: chmod 600 {kept.path}" in await fault_of(kept, LAB)
    kept.path.unlink()
    kept.path.symlink_to(tmp_path / "elsewhere")
    assert "cannot be read" in await fault_of(kept, LAB)


def test_no_variable_of_a_key_and_none_with_the_key_in_it_is_a_commands() -> None:
    environment = {"LC_LAB": "short", "LC_COPY": f"x{KEY}x", "LC_ALL": "C", "PATH": KEY, "HOME": "/h"}
    assert without(environment, {"LC_LAB"}, (KEY, "C")) == {"LC_ALL": "C", "PATH": KEY, "HOME": "/h"}


async def test_a_further_model_without_a_key_is_left_out_aloud_and_the_first_is_needed(tmp_path: Path) -> None:
    own = {"a": EndpointTable(base_url="http://a/v1", key_env="A"), "b": EndpointTable(base_url="http://b/v1", key_env="B")}
    settings = Config(models=("a:one", "b:two", "a:three"), endpoints=own)
    found = await choose(settings, {"A": "k"}, Home(tmp_path, tmp_path), window=4096)
    assert found.connections == (
        Connection("http://a/v1", "k", "A", "one", window=4096),
        Connection("http://a/v1", "k", "A", "three"),
    )
    assert found.keys == ("k", "k")
    [warning] = found.warnings
    assert warning.startswith("b:two is left out of the models: the endpoint 'b' takes its key from B, which is not set")
    with pytest.raises(UsageError, match="'a' takes its key from A") as raised:
        await choose(settings, {"B": "k"}, Home(tmp_path, tmp_path))
    assert raised.value.exit_code == 77
    models, warnings = await connected_models(found)
    assert [model.name for model in models] == ["one", "three"]
    assert not warnings
    for model in models:
        await model.close()


async def test_the_terms_of_kimi_code_are_told_once(tmp_path: Path) -> None:
    environment = {"KIMI_CODE_API_KEY": "k"}
    first, again = [
        await choose(Config(), environment, Home(tmp_path, tmp_path), ("kimi-code:kimi-for-coding",)) for _ in range(2)
    ]
    assert "Claude Code and Roo Code" in first.warnings[0]
    assert not again.warnings


def lab(person: Person, server: ScriptedServer, *lines: str) -> None:
    """Make the scripted server the person's endpoint `lab`."""
    more = "\n".join(lines)
    person.settle(f'endpoint = "lab"\n[endpoints.lab]\nbase_url = "{server.base_url}"\nmodel = "m"\n{more}\n')


def ring(person: Person) -> Path:
    """Give the person a keyring of the library's kind; return its folder."""
    pytest.importorskip("keyring")
    folder = person.home / "ring"
    folder.mkdir()
    (folder / "ring_of_the_test.py").write_text(RING)
    settings = person.home / ".config" / "python_keyring" / "keyringrc.cfg"
    settings.parent.mkdir(parents=True, exist_ok=True)
    settings.write_text(f"[backend]\ndefault-keyring=ring_of_the_test.Ring\nkeyring-path={folder}\n")
    person.environment.pop("PYTHON_KEYRING_BACKEND", None)
    return folder


async def by_variable(person: Person, server: ScriptedServer) -> str:
    lab(person, server, 'key_env = "LC_LAB"')  # what is called so passes to commands else
    person.environment["LC_LAB"] = KEY
    return "LC_LAB"


async def by_command(person: Person, server: ScriptedServer) -> str:
    secret = person.home / "secret"
    secret.write_text(KEY + "\n")
    lab(person, server, f'key_command = ["cat", "{secret}"]')
    return "the key_command of lab (cat)"


async def by_file(person: Person, server: ScriptedServer) -> str:
    lab(person, server)
    assert (await person.run("login", "lab", stdin=f"{KEY}\n")).code == 0
    return str(person.home / ".local/state/jumar/keys.json")


async def by_keyring(person: Person, server: ScriptedServer) -> str:
    lab(person, server)
    ring(person)
    run = await person.run("login", "lab", stdin=KEY)
    assert "stored in the keyring" in run.out
    return "the keyring"


@pytest.mark.parametrize("source", [by_variable, by_command, by_file, by_keyring])
async def test_a_key_is_sent_to_its_host_and_is_nowhere_else(
    person: Person, server: ScriptedServer, source: Callable[[Person, ScriptedServer], Awaitable[str]]
) -> None:
    where = await source(person, server)
    look = "env; cat /proc/$PPID/environ /proc/$PPID/cmdline 2>/dev/null | tr '\\0' '\\n'"
    refusal = failure(400, {"error": {"message": f"never heard of {KEY}"}})
    server.script.extend([answer("", calls=[("shell", {"command": look})]), answer("done"), refusal])
    run = await person.trusted("-p", "x", "--mode", "yolo", "--output-format", "stream-json")
    assert run.code == 0
    failed = await person.trusted("-p", "y", "-c")
    assert failed.code == 1
    assert {head["authorization"] for head in server.heads if head[":path"].endswith("/completions")} == {f"Bearer {KEY}"}
    listed = await person.run("endpoints")
    line = next(line for line in listed.out.splitlines() if line.startswith("lab "))
    assert f"key in {where}" in line
    for told in (run, failed, listed):
        assert KEY not in told.out + told.err
    assert not [body for body in server.requests if KEY.encode() in body]
    state = person.home / ".local/state/jumar"
    files = [path for path in state.rglob("*") if path.is_file() and path.name != "keys.json"]
    assert [path for path in files if path.suffix == ".jsonl"]
    assert not [path for path in files if KEY.encode() in path.read_bytes()]


async def test_a_keyring_is_not_asked_where_a_variable_has_the_key(person: Person, server: ScriptedServer) -> None:
    await by_keyring(person, server)
    asked = person.home / "ring" / "asked"
    asked.unlink()
    lab(person, server, 'key_env = "LAB"')
    person.environment.pop("PYTHON_KEYRING_BACKEND")
    server.script.extend([answer("hello"), answer("hello")])
    assert (await person.trusted("-p", "x", environment={"LAB": "k"})).code == 0
    assert not asked.exists()
    assert (await person.trusted("-p", "x")).code == 0
    assert asked.exists()


async def test_a_login_says_what_the_endpoint_thinks_of_the_key(person: Person, server: ScriptedServer) -> None:
    lab(person, server)
    server.key = KEY
    run = await person.run("login", "lab", stdin=f"{KEY}\nmore")
    assert run.code == 0
    assert f"{server.base_url} accepts the key; it has scripted" in run.out
    assert "no keyring takes it (is jumar[keyring] installed?), so it is in a file that only you can read" in run.out
    assert [head.get("authorization") for head in server.heads] == [f"Bearer {KEY}", None]
    assert server.heads[0]["user-agent"].startswith("jumar/")
    assert (await person.run("logout", "lab")).out.startswith("the key of lab is removed from")
    server.key = "another"
    refused = await person.run("login", "lab", stdin=KEY)
    assert (refused.code, refused.err.count("\n")) == (77, 1)
    assert KEY not in run.out + run.err + refused.out + refused.err


@pytest.mark.parametrize(
    ("models", "demanded", "words"),
    [
        (failure(404, "nothing"), "", "not verified: "),
        (failure(503, "busy"), "", "not verified: "),
        (tuple("abcdef"), KEY, "accepts the key; it has a, b, c, d and 2 more"),
        (("a",), "", "not verified: {} lists its models without a key too; it has a"),
    ],
)
async def test_a_key_that_is_not_refused_is_stored(
    tmp_path: Path, server: ScriptedServer, models: tuple[str, ...] | Response, demanded: str, words: str
) -> None:
    server.models, server.key = models, demanded
    kept, out = stored(tmp_path), StringIO()
    endpoint = replace(LAB, base_url=server.base_url)
    await log_in(endpoint, KEY, Keys({"LAB": "k"}, kept), out)
    assert words.format(server.base_url) in out.getvalue()
    assert "unencrypted" not in out.getvalue()
    assert out.getvalue().endswith("but the key in LAB comes before it\n")
    assert KEY not in out.getvalue()
    assert await kept.find(endpoint) == Found(KEY, str(kept.path))


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        (KEY, "does not accept the key in what you typed"),
        ("", "no key was given; nothing is stored"),
        ("two words", "this is no key"),
        ("sk-ключ", "this is no key"),
        ("k" * 20_000, "this is no key"),
    ],
)
async def test_a_key_that_is_refused_or_none_is_not_stored(
    tmp_path: Path, server: ScriptedServer, typed: str, words: str
) -> None:
    server.key = "another"
    kept = stored(tmp_path)
    with pytest.raises(JumarError, match=words) as raised:
        await log_in(replace(LAB, base_url=server.base_url), typed, Keys({}, kept), StringIO())
    assert not typed or typed not in str(raised.value)
    assert not kept.path.exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("login",), "say which endpoint; jumar endpoints lists them"),
        (("login", "olama"), "there is no endpoint 'olama'; did you mean 'ollama'?"),
        (("login", "zzzzzz"), "there is no endpoint 'zzzzzz'; jumar endpoints lists them"),
        (("-p", "x", "--trust", "--context", "64k"), "is no number above 0"),
        (("-p", "x", "--trust", "--context", "12"), "say it in tokens"),
        (("-p", "x", "--trust", "--effort", "hard"), "invalid choice: 'hard'"),
    ],
)
async def test_what_cannot_be_meant_is_told_in_one_line(person: Person, arguments: tuple[str, ...], words: str) -> None:
    run = await person.run(*arguments)
    assert (run.code, run.err.count("\n")) == (2, 1)
    assert words in run.err


async def typed(person: Person, keys: bytes, number: int = 0) -> tuple[int, str, int]:
    """Type at the prompt of a login, send a signal; return the exit code, what the terminal showed, and its modes at the end."""
    primary, secondary = pty.openpty()
    program = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", f"import os; os.login_tty(0); os.execv({str(JUMAR)!r}, ['jumar', 'login', 'lab'])"),
        cwd=person.root,
        env=person.environment,
        stdin=secondary,
        stdout=secondary,
        stderr=secondary,
    )
    told = b""
    while b"it is not shown" not in told:
        told += await asyncio.to_thread(os.read, primary, 1 << 16)
    os.write(primary, keys)
    if number:
        program.send_signal(number)
    code = await program.wait()
    modes = termios.tcgetattr(secondary)[3]
    os.close(secondary)
    return code, (told + await asyncio.to_thread(read_all, primary)).decode(), modes


async def test_a_terminal_does_not_show_the_key_that_is_typed(person: Person, server: ScriptedServer) -> None:
    lab(person, server)
    code, told, modes = await typed(person, f"{KEY}\n".encode())
    assert code == 0
    assert KEY not in told
    assert "the key of lab is stored in" in told
    assert modes & termios.ECHO
    for ended, keys, number in ((130, b"half\x03", 0), (143, b"half", signal.SIGTERM)):
        code, told, modes = await typed(person, keys, number)
        assert code == ended
        assert "nothing is stored" in told
        assert modes & termios.ECHO


async def test_the_list_tells_where_keys_are_and_never_one(person: Person, server: ScriptedServer) -> None:
    lab(person, server)
    await person.run("login", "lab", stdin=KEY)
    environment = {"OPENROUTER_API_KEY": KEY, "ANTHROPIC_API_KEY": KEY, "ANTHROPIC_BASE_URL": "http://elsewhere"}
    run = await person.run("endpoints", "--json", environment=environment)
    keys = {row["name"]: row["key"] for row in run.lines}
    assert (keys["openrouter"], keys["anthropic"], keys["ollama"]) == ("OPENROUTER_API_KEY", "none", "not needed")
    assert keys["lab"].endswith("keys.json")
    listed = await person.run("login", "--list", environment=environment)
    assert [line.split()[0] for line in listed.out.splitlines()] == list(keys)
    assert KEY not in run.out + listed.out
