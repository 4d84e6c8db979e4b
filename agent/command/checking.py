"""Owns which commands check something: run tests, lint, check types, build, or run a program that was changed."""

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path, PurePosixPath
from types import MappingProxyType

from agent.command.flags import names
from agent.command.parts import Part
from agent.command.script import read
from agent.command.weigh import joints
from agent.command.wrappers import inner

_LONGEST = 8 << 10  # of a command that is read


@dataclass(frozen=True, slots=True)
class Checking:
    """A command that checks. `decides` says that its exit code is the check's: no pipe and no `|| true` hides it; `last`, that
    nothing which could change files stands behind the check. `count` is how many checks it runs."""

    decides: bool
    last: bool = True
    count: int = 1


def checking(
    command: str, known: Collection[str] = (), changed: Collection[str] = (), root: Path | None = None
) -> Checking | None:
    """Say whether a command checks; `known` are commands that do here, `changed` files whose running is a check, and what is run
    elsewhere than in `root` is none. Never fails."""
    command = command.strip()
    return Checking(decides=True) if command in known else _read(command, _Here(known, changed, root))


@dataclass(frozen=True, slots=True)
class _Here:
    """What a command is run beside."""

    known: Collection[str]
    changed: Collection[str]
    root: Path | None
    depth: int = 0


def _read(command: str, here: _Here) -> Checking | None:
    script = read(command[:_LONGEST])
    between = joints(script)
    found: list[Checking] = []
    clear = not script.fault and len(command) <= _LONGEST
    last = False
    pipefail = elsewhere = False
    for at, part in enumerate(script.parts):
        argv = part.argv
        if argv[:1] == ("set",) and "pipefail" in argv:
            pipefail = "+o" not in argv
        elif argv[:1] == ("cd",) and here.root is not None:
            elsewhere = _leads_out(argv[-1], here.root)
        clear = clear and not _turns(part)
        last = last and _keeps(part)
        one = None if elsewhere else _part(part, here)
        if one is not None:
            decides = one.decides and _decides(between, at, pipefail=pipefail)
            found.append(Checking(decides, one.last, one.count))
            last = one.last
    if not found:
        return None
    return Checking(clear and all(one.decides for one in found), last, sum(one.count for one in found))


def _part(part: Part, here: _Here) -> Checking | None:
    """Say whether a part checks, or what it would itself run."""
    if _checks(part, here.known, here.changed):
        return Checking(decides=_HIDES.get(_tool(part.argv), _NOTHING).isdisjoint(part.argv[1:]))
    if _named(part.argv) in _FAR:
        return None
    within = inner(part)
    if not any(_checks(one, here.known, here.changed) for one in within):
        return None
    name, first = _named(part.argv), within[0]
    if name in _SHELLS and here.depth < _DEEPEST:
        at = next((at for at, word in enumerate(part.argv) if re.fullmatch(r"-[a-z]*c", word)), 0)
        if at and part.argv[at + 1 :]:
            before = "set -o pipefail; " if "pipefail" in part.argv[:at] else ""
            return _read(before + part.argv[at + 1], replace(here, depth=here.depth + 1))
    if name in _AWAY or not first.argv or part.argv[-len(first.argv) :] != first.argv or here.depth >= _DEEPEST:
        return Checking(decides=False, last=False)
    return _part(first, replace(here, depth=here.depth + 1))


def _turns(part: Part) -> bool:
    """Whether what stands behind a part may not run then, or be something else."""
    argv = part.argv
    if argv[:1] in {("exit",), ("return",)}:
        return not re.fullmatch(r"[1-9]\d*", "".join(argv[1:]))
    return argv[:1] == ("alias",) or (argv[:1] == ("trap",) and re.search("exit|return", part.source) is not None)


def _keeps(part: Part) -> bool:
    """Whether a part surely changes no file of the work tree."""
    argv = part.argv
    if not argv or any(">" in one.operator for one in part.redirects):
        return False
    return _named(argv) in _HARMLESS or (argv[0] == "git" and argv[1:2] in _KEEPING)


def _leads_out(folder: str, root: Path) -> bool:
    """Whether a folder that a command goes to has nothing to do with the work tree."""
    if not folder.startswith(("/", "~")):
        return False
    try:
        real = Path(folder).expanduser().resolve()
    except (OSError, RuntimeError, ValueError):  # it leads nowhere
        return True
    return not (real.is_relative_to(root) or root.is_relative_to(real))


def narrowed(command: str) -> str:
    """Return what of a test suite a command asks for, as a clause; empty where it asks for all, or that is not known."""
    asked: list[str] = []
    for part in read(command[:_LONGEST]).parts:
        for one in (part, *inner(part)):
            words = one.argv
            name = _named(words)
            if name in {"pytest", "py.test"} or words[1:3] == ("-m", "pytest"):
                asked += [word for word in words[1:] if re.fullmatch(r"[^-].*\.py|[^-].*::.*|--lf|--last-failed", word)]
            elif words[1:3] == ("-m", "unittest"):
                asked += [word for word in words[3:] if not word.startswith("-") and word != "discover"]
            elif name == "go" and words[1:2] == ("test",):
                asked += [f"-run {after}" for word, after in pairwise(words) if word == "-run"]
                asked += [
                    word for word in words[2:] if re.fullmatch(r"\.(?:/[^.].*)?|-run=.+", word) and not word.endswith("...")
                ]
            elif name in {"jest", "vitest", "mocha"} or (name == "node" and "--test" in words):
                asked += [word for word in words[1:] if re.fullmatch(r"[^-].*\.[cm]?[jt]sx?|--test-name-pattern=.+|-t", word)]
    return ", ".join(dict.fromkeys(asked))[:200]


def _decides(between: list[str], at: int, *, pipefail: bool) -> bool:
    """Whether the whole ends with 0 only where the part at `at` ran and did."""
    before = at
    while before > 0 and between[before] in {"&&", "|"}:
        before -= 1
    after = between[at + 1 : -1]
    good = {"&&", "|"} if pipefail else {"&&"}
    return between[before] in {"", ";"} and all(joint in good for joint in after)


def _named(words: tuple[str, ...]) -> str:
    return PurePosixPath(words[0]).name if words else ""


def _tool(words: tuple[str, ...]) -> str:
    """Return the name of a program, or of the module that Python runs as one."""
    return words[2] if words[1:2] == ("-m",) and len(words) > 2 else _named(words)


def _checks(part: Part, known: Collection[str], changed: Collection[str]) -> bool:
    words = part.argv
    if not words or not part.words[0].literal:
        return False
    name = _named(words)
    if not _SHOWS.isdisjoint(word.partition("=")[0] for word in words) or not _SHOW.get(_tool(words), _NOTHING).isdisjoint(
        words[1:]
    ):
        return False
    line = " ".join(words)
    if any(line == one or line.startswith(f"{one} ") for one in known):
        return True
    if name in _COMPILERS:
        return any(not word.startswith("-") for word in words[1:])
    if name in _CHECKERS:
        return not _CHECKERS[name] or any(word in _CHECKERS[name] for word in words[1:])
    if name in _VERBS:
        return _does(name, words[1:])
    if interpreter := _INTERPRETER.fullmatch(name):
        return _interprets(interpreter[1], words[1:], changed)
    return _is_of(words[0], changed) or bool(_TEST_FILE.fullmatch(name))


def _does(name: str, words: tuple[str, ...]) -> bool:
    if name in {"make", "gmake"} and any(re.fullmatch(r"-[a-z]*n[a-z]*|--just-print|--question", word) for word in words):
        return False
    operands = [word for word in words if not word.startswith(("-", "+")) and "=" not in word]
    if operands[:1] in (["run"], ["run-script"]) and name in _SCRIPTED:
        operands = operands[1:]
        return any(_TASK.fullmatch(word) for word in operands[:1])
    if not operands:
        return name in _BARE
    return any(word in _VERBS[name] for word in operands[:1]) or (name in _TASKS and any(map(_TASK.fullmatch, operands)))


def _interprets(name: str, words: tuple[str, ...], changed: Collection[str]) -> bool:
    if name in {"python", "pypy"} and "-m" in words:
        at = words.index("-m") + 1
        rest = words[at:]
        return bool(rest) and (rest[0] in _MODULES or bool(changed and _is_of(rest[0].replace(".", "/") + ".py", changed)))
    if name == "node" and set(words) & {"--test", "--check", "-c"}:
        return True
    file = next((word for word in words if not word.startswith("-")), "")
    if name in {"bash", "sh"} and words[:1] == ("-n",):
        return True
    if PurePosixPath(file).name == "manage.py":
        return any(word in {"test", "check"} for word in words)
    return bool(_TEST_FILE.fullmatch(PurePosixPath(file).name)) or _is_of(file, changed)


def _is_of(file: str, changed: Collection[str]) -> bool:
    """Whether a word names one of the files, from whatever folder."""
    bare = file.removeprefix("./")
    return bool(bare) and any(path == bare or path.endswith(f"/{bare}") or bare.endswith(f"/{path}") for path in changed)


def _table(rows: Iterable[tuple[str, str]]) -> Mapping[str, frozenset[str]]:
    return MappingProxyType({name: names(words) for programs, words in rows for name in programs.split()})


# Programs that do nothing but check; where words are named, only with one of these.
_CHECKERS = _table(
    (
        ("pytest py.test tox nox nose2 ward unittest jest vitest mocha ava tap phpunit pest rspec ctest bats busted prove", ""),
        ("flake8 pylint mypy pyright basedpyright dmypy pyre pyflakes bandit pydocstyle tsc vue-tsc eslint oxlint stylelint", ""),
        ("shellcheck hadolint yamllint markdownlint actionlint golangci-lint staticcheck clang-tidy cppcheck rubocop", ""),
        (
            "phpstan psalm swiftlint ktlint detekt luacheck selene ninja gcc g++ cc c++ clang clang++ rustc javac kotlinc swiftc",
            "",
        ),
        ("ruff", "check --check --diff"),
        ("ty", "check"),
        ("black isort", "--check --check-only -c"),
        ("prettier", "--check -c --list-different -l"),
        ("biome", "check ci lint"),
        ("playwright cypress", "test run"),
        ("cmake", "--build"),
        ("coverage", "run"),
    )
)
_COMPILERS = names("gcc g++ cc c++ clang clang++ rustc javac kotlinc swiftc")  # of what they are given
# With one of these a program shows something, and checks nothing.
_SHOWS = names(
    "--version -V --help -h --collect-only --co --fixtures --dry-run --list --listenvs --list-tests --print-config --init "
    "--if-present --passWithNoTests --pass-with-no-tests --allow-no-tests"  # where nothing is there to be run, all is well
)
_NOTHING: frozenset[str] = frozenset()
_SHOW = _table(
    (
        ("pytest py.test", "--setup-only --setup-plan --markers --cache-show --fixtures-per-test"),
        ("tox nox", "-l --notest --install-only"),
        ("jest vitest", "--listTests list"),
        ("go", "-n -list"),
        ("ninja rake just", "-n -t -T -P"),
        ("make gmake", "-t --touch"),
        ("gradle gradlew", "-m"),
        ("tsc", "--showConfig"),
    )
)
# With one of these a program ends with 0 whatever it finds.
_HIDES = _table((("ruff", "--exit-zero -e"), ("pylint flake8 bandit", "--exit-zero"), ("make gmake", "-i --ignore-errors")))
_SHELLS = frozenset({"bash", "sh", "dash", "zsh"})
_AWAY = names("setsid systemd-run screen tmux script watch")  # they do not wait, or end as they please
_FAR = names("ssh mosh rsh")  # what they run, they run on another machine
_HARMLESS = names("echo printf true : tail head grep cat wc date tee sort test [ ls exit set cd")
_KEEPING = frozenset({("add",), ("commit",), ("diff",), ("log",), ("push",), ("show",), ("status",)})  # of git
_DEEPEST = 4  # of commands that run others
# Programs of which a word says what they do.
_VERBS = _table(
    (
        ("cargo", "test t nextest check c build b clippy"),
        ("go", "test vet build"),
        ("npm pnpm yarn", "test t tst"),
        ("bun", "test"),
        ("deno", "test check lint"),
        ("make gmake just rake task", ""),
        ("gradle gradlew", "test check build assemble"),
        ("mvn mvnw", "test verify compile package install"),
        ("dotnet swift bazel zig", "test build"),
        ("mix", "test compile credo dialyzer"),
        ("flutter dart", "test analyze"),
        ("rails", "test"),
        ("sbt lein stack cabal", "test compile check build"),
        ("meson", "test compile"),
        ("pre-commit", "run"),
        ("composer", "test"),
    )
)
_SCRIPTED = frozenset({"npm", "pnpm", "yarn", "bun", "composer"})  # they run scripts that the project names
_TASKS = frozenset(
    {"make", "gmake", "just", "rake", "task", "pnpm", "yarn", "gradle", "gradlew", "composer"}
)  # by the name alone
_BARE = frozenset({"make", "gmake", "zig"})  # without a word they build
_TASK = re.compile(
    r"(?:.*[:_-])?(?:tests?|unit|check|lint|types?|type-?check|tsc|build|compile|verify|ci|e2e|spec|all)(?:[:_.-].*)?"
)
_MODULES = frozenset(
    [
        "pytest",
        "unittest",
        "doctest",
        "mypy",
        "ruff",
        "flake8",
        "pylint",
        "pyright",
        "basedpyright",
        "compileall",
        "py_compile",
        "build",
        "tox",
        "nox",
        "coverage",
        "pyflakes",
    ]
)
_INTERPRETER = re.compile(r"(python|pypy|node|ruby|php|lua|perl|bash|sh|tsx|ts-node|deno|bun)[\d.]*")
_TEST_FILE = re.compile(r"(?:test|check|spec)s?(?:[_.-].*)?\.\w+|.*[_.-](?:test|spec)s?\.\w+|run_?tests?(?:\.\w+)?")
