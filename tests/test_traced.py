"""What is judged only to look is run, and traced: no program ran that is not known to look, and nothing was to be written.

`TRACED=20000 pytest tests/test_traced.py` looks at so many batches, with new ones each time; else a few, always the same.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from agent.command.flags import Allowed
from agent.command.git import LOOKING
from agent.command.programs import PROGRAMS, VERSIONED
from agent.command.weigh import Deed, weigh
from agent.workspace.paths import Paths
from tests.repositories import git

_LONG = int(os.environ.get("TRACED", "0"))
_EXPRESSIONS = ("find", "sed", "test", "[", "printf")
_IDLE = ("sleep", "set", "exit")  # which stop, or wait, and nothing else
_RUNS = frozenset((*PROGRAMS, *VERSIONED, *_EXPRESSIONS, "git", "which.debianutils", "jpackage"))
_CALLS = (
    "execve,execveat,open,openat,creat,unlink,unlinkat,rename,renameat,renameat2,mkdir,mkdirat,rmdir,link,linkat,symlink,symlinkat,"
    "truncate,chmod,fchmodat,chown,lchown,fchownat,mknod,mknodat,connect,bind,utimensat,setxattr,sethostname,kill"
)
_EXEC = re.compile(r'execve\("([^"]*)", \["([^"]*)"')
_WRITES = re.compile(r"O_WRONLY|O_RDWR|O_CREAT|O_TRUNC|O_APPEND")
# nscd is asked by bash who it is run by; pip tries whether there is IPv6.
_NOWHERE = re.compile(r'"/dev/(?:null|tty)"|sun_path="/var/run/nscd/socket"|bind\(\d+, .*_port=htons\(0\),.*"::1"')
_SECRET, _ELSEWHERE = "canary-of-a-secret", "canary-of-elsewhere"

_PATHS = (
    *("in.txt", "src/a.py", "src", ".", "./x", "link", "link/x.txt", ".env", "../outside/x.txt", "/etc/hostname", "-", "--", "w"),
    *(
        "*",
        "src/*",
        ".e*",
        "?n.txt",
        "data.json",
        "dash/*",
        "~",
        "src/../in.txt",
        "no\\ne",
        "/dev/stdin",
        "/dev/tty",
        "+1",
        "@in.txt",
    ),
)
_HOSTILE = (
    *("--pre=./x", "--pre ./x", "--hostname-bin=./x", "-exec ./x \\;", "-execdir ./x \\;", "-ok ./x \\;", "-delete", "-fprint w"),
    *(
        "-fprintf w x",
        "-fls w",
        "-o w",
        "-ow",
        "--output=w",
        "--outp=w",
        "--compress-program=./x",
        "--compress-prog ./x",
        "-S 1 -T .",
    ),
    *(
        "--files0-from=in.txt",
        "-files0-from in.txt",
        "-z",
        "-C",
        "-C -m in.txt",
        "-m in.txt",
        "-s 12:00",
        "-f in.txt",
        "--file=in.txt",
    ),
    *(
        "-i",
        "-i.bak",
        "--in-place",
        "-ni",
        "-e '1e ./x'",
        "-e 'w w'",
        "'1e ./x'",
        "'s/x/./e'",
        "'s/x/y/w w'",
        "'1p'",
        "'$!N;1e ./x'",
    ),
    *("'s/a/b/;w w'", "'{p;w w'", "'1{e ./x\n}'", "'r .env'", "'s/[/]/e/e'", "'s,x,./x,e'", "'/[/]e/p;1e ./x'", "'s/\\\n/e/;1p'"),
    *(
        "-v 'a[$(./x)]'",
        "'a[$(./x)]' -eq 1",
        "1 -eq 'a[$(./x)]'",
        "-R x",
        "-v x",
        "%n",
        "'%(%s)T'",
        "-v x %s",
        "'%b' '\\c'",
        "%d 'a[$(./x)]'",
    ),
    *(
        "$(./x)",
        "`./x`",
        "<(./x)",
        ">(./x)",
        "${q:=$(./x)}",
        "${q@P}",
        "$'./x'",
        '"$(./x)"',
        "'$(./x)'",
        "{./x,y}",
        "a=b",
        "$((a[$(./x)]))",
    ),
    *(
        "> w",
        ">> w",
        "2> w",
        "&> w",
        ">| w",
        "<> w",
        "> /dev/null",
        "2>&1",
        "< in.txt",
        "< .env",
        "</dev/tcp/127.0.0.1/9",
        ">&w",
        ">&2",
    ),
    *(
        "-r",
        "-R",
        "-L",
        "-H",
        "--follow",
        "-f",
        "-F",
        "-x ./x",
        "-X ./x",
        "--exec ./x",
        "-e",
        "-p",
        "-n",
        "-c",
        "-P ./x",
        "--version",
        "-V",
    ),
    *(
        "env",
        "'$ENV'",
        "'input'",
        "'import \"a\" as a; .'",
        "'.'",
        "-L .",
        "--debug",
        "--interactive",
        "-l w",
        "--log=w",
        "-d in.txt",
        "-b",
    ),
    *(
        "-name x",
        "-newer in.txt",
        "-type f",
        "-printf '%p'",
        "-printf %Z",
        "-quit",
        "-regex .*",
        "!",
        "\\(",
        "\\)",
        "]",
        "-eq",
        "=",
        "-a",
        "-o",
    ),
)
_OF_GIT = (
    *("HEAD", "HEAD~1", "main", "side", "v1", "HEAD:in.txt", "HEAD:.env", "HEAD..side", "stash@{0}", ":in.txt", "--", "in.txt"),
    *(
        "src",
        ".",
        "../outside/x.txt",
        "link/x.txt",
        "core.pager",
        "list",
        "show",
        "get",
        "-l",
        "--list",
        "origin",
        "get-url",
        "add",
    ),
    *(
        "--output=w",
        "--output w",
        "-o w",
        "--ext-diff",
        "--textconv",
        "--no-index",
        "-O./x",
        "-O ./x",
        "--open-files-in-pager=./x",
    ),
    *("-c core.pager=./x", "-c alias.x=!./x x", "--exec-path=.", "-p", "--paginate", "--git-dir=.git", "-C src", "--no-pager"),
    *("--upload-pack=./x", "--exec ./x", "-d", "-D", "-f", "--force", "-m x", "--edit", "-S", "--show-signature", "--filters"),
    *(
        "-x ./x",
        "--batch",
        "--format=%G?",
        "--format=%(trailers)",
        "--unset",
        "--add",
        "--contains",
        "-n",
        "--check",
        "-z",
        "new",
    ),
)
_JOINTS = (" | ", " && ", " || ", "; ", "\n", " & ", ";;", " |& ", "\r", " # ", " \\\n ")
_NAMES = (
    tuple(sorted({*PROGRAMS, *_EXPRESSIONS} - set(_IDLE))) + tuple(VERSIONED) + ("cd", "command -v", "time", "!", "./x", "bash")
)


def _quoted(draw: st.DrawFn, text: str) -> str:
    match draw(st.integers(0, 12)):
        case 0:
            return f"'{text}'"
        case 1:
            return f'"{text}"'
        case 2:
            at = draw(st.integers(0, len(text)))
            return f"{text[:at]}\\{text[at:]}"
        case 3:
            at = draw(st.integers(0, len(text)))
            return f"{text[:at]}''{text[at:]}"
        case 4:
            return f"$'{text}'"
        case _:
            return text


def _flag(draw: st.DrawFn, name: str) -> str:
    program = PROGRAMS.get(name)
    if program is None or draw(st.booleans()):
        return draw(st.sampled_from(_HOSTILE))
    return _allowed(draw, program.allowed, _PATHS)


def _allowed(draw: st.DrawFn, allowed: Allowed, values: tuple[str, ...]) -> str:
    """Draw one of the flags that a program may be given, or something like them."""
    letters = [letter for letter in allowed.short if letter not in ":@"]
    entries = [entry for entry in allowed.long.split() if entry]
    if entries and (not letters or draw(st.booleans())):
        entry = draw(st.sampled_from(entries))
        value = draw(st.sampled_from(values)) if entry.rstrip(":@") != entry else ""
        dash = "-" if allowed.bare else "--"
        return f"{dash}{entry.rstrip(':@')}" + (f"{draw(st.sampled_from('= '))}{value}" if value else "")
    if not letters:
        return "-" + draw(st.text("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789", min_size=1, max_size=3))
    return (
        "-"
        + "".join(draw(st.lists(st.sampled_from(letters), min_size=1, max_size=3)))
        + draw(st.sampled_from(("", "", "1", "w")))
    )


def _git(draw: st.DrawFn) -> str:
    verb = draw(st.sampled_from(tuple(LOOKING)))
    words = ["git", *draw(st.sampled_from(((), (), (), ("--no-pager",), ("-P",), ("-c", "core.pager=./x"), ("-p",)))), verb]
    for _ in range(draw(st.integers(0, 4))):
        match draw(st.integers(0, 9)):
            case 0 | 1 | 2 | 3:
                words.append(_allowed(draw, LOOKING[verb], _OF_GIT))
            case 4:
                words.append(draw(st.sampled_from(_HOSTILE)))
            case 5:
                words.append(_quoted(draw, draw(st.sampled_from(_PATHS))))
            case _:
                words.append(_quoted(draw, draw(st.sampled_from(_OF_GIT))))
    return " ".join(words)


@st.composite
def _simple(draw: st.DrawFn) -> str:
    if draw(st.integers(0, 3)) == 0:
        return _git(draw)
    name = draw(st.sampled_from(_NAMES))
    words = [_quoted(draw, name) if draw(st.integers(0, 9)) == 0 else name]
    for _ in range(draw(st.integers(0, 4))):
        match draw(st.integers(0, 9)):
            case 0 | 1 | 2 | 3:
                words.append(_flag(draw, name))
            case 4:
                words.append(draw(st.text(max_size=6)))
            case _:
                words.append(_quoted(draw, draw(st.sampled_from(_PATHS))))
    if name == "[" and draw(st.booleans()):
        words.append("]")
    return " ".join(words)


@st.composite
def _command(draw: st.DrawFn) -> str:
    text = draw(_simple())
    while draw(st.integers(0, 4)) == 0:
        text += draw(st.sampled_from(_JOINTS)) + draw(_simple())
    return text


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    for program in ("bwrap", "strace"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not here, so that nothing can be traced")
    base = tmp_path_factory.mktemp("traced")
    for name, text in {
        "ws/in.txt": "x\nb\n", "ws/src/a.py": "x = 1\n", "ws/.env": _SECRET, "ws/data.json": "{}", "ws/dash/-rf": "x",
        "outside/x.txt": _ELSEWHERE, "ws/x": "#!/bin/sh\n", "home/.bashrc": "",
    }.items():  # fmt: skip
        path = base / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (base / "ws/x").chmod(0o755)
    (base / "ws/link").symlink_to("../outside")
    _recorded(base / "ws")
    problem = _traced(base, ["ls"])[0]
    if "traced-1" not in problem:
        pytest.skip(f"a sandbox cannot be traced here: {problem[-200:]}")
    return base


def _recorded(root: Path) -> None:
    """Make a repository with what git can look at: a signed commit too, and a setting of who looks at signatures."""
    git(root, "init", "-q")
    (root / ".git/info").mkdir(exist_ok=True)
    (root / ".git/info/exclude").write_text(".env\n")
    git(root, "add", ".")
    git(root, "commit", "-qm", "first")
    git(root, "branch", "side")
    git(root, "tag", "v1")
    (root / "in.txt").write_text("x\nc\n")
    git(root, "stash")
    (root / "in.txt").write_text("x\nd\n")
    tree = git(root, "write-tree").strip()
    signature = "gpgsig -----BEGIN PGP SIGNATURE-----\n \n x\n -----END PGP SIGNATURE-----"
    who = "A <a@b> 1700000000 +0000"
    signed = (
        f"tree {tree}\nparent {git(root, 'rev-parse', 'HEAD').strip()}\nauthor {who}\ncommitter {who}\n{signature}\n\nsigned\n"
    )
    (root / "signed").write_text(signed)
    git(root, "update-ref", "refs/heads/main", git(root, "hash-object", "-t", "commit", "-w", "signed").strip())
    (root / "signed").unlink()
    git(root, "remote", "add", "origin", "https://x.invalid/a")
    git(root, "config", "gpg.program", str(root / "x"))


def _traced(place: Path, commands: list[str]) -> tuple[str, str]:
    """Run commands, one after the other, where nothing can be written; return the trace and what they printed."""
    log = place / "log"
    log.unlink(missing_ok=True)
    run = 'n=0; for text; do n=$((n+1)); (ulimit -t 1; exec -a "traced-$n" bash --norc -c "$text"); done'
    ended = subprocess.run(
        [
            *("strace", "-f", "-q", "-s", "200", "-o", str(log), "-e", f"trace={_CALLS}", "-e", "signal=none"),
            *(
                "bwrap",
                "--ro-bind",
                "/",
                "/",
                "--dev",
                "/dev",
                "--unshare-net",
                "--die-with-parent",
                "--chdir",
                str(place / "ws"),
            ),
            *("bash", "--norc", "-c", run, "driver", *commands),
        ],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={
            "PATH": f"/usr/local/bin:/usr/bin:/bin:{Path(sys.executable).parent}",  # where rg may be
            "HOME": str(place / "home"),
            "LC_ALL": "C.UTF-8",
            "GIT_PAGER": "cat",
            "GIT_OPTIONAL_LOCKS": "0",
        },
        timeout=60,
        check=False,
    )
    printed = ended.stdout.decode("utf-8", "replace")
    return (log.read_text("utf-8", "replace") if log.exists() else printed), printed


def _faults(trace: str, commands: list[str]) -> list[str]:
    """Return what ran, or was to be written, that a command which looks has no business with."""
    faults: list[str] = []
    current = ""
    for line in trace.splitlines():
        executed = _EXEC.search(line)
        if executed and executed[2].startswith("traced-"):
            current = commands[int(executed[2].removeprefix("traced-")) - 1]
            continue
        if not current:
            continue
        call = line.partition(" ")[2].lstrip()
        if executed and (" = 0" in line or "unfinished" in line):
            path = Path(executed[1])
            if path.name not in _RUNS or not path.is_absolute() or not path.parent.name.endswith(("bin", "git-core")):
                faults.append(f"{current!r}: {call}")
        elif call.startswith(("exec", "<...", "+++", "---")):
            continue
        elif (not call.startswith("open") or _WRITES.search(call)) and not _NOWHERE.search(call):
            faults.append(f"{current!r}: {call}")
    return faults


def _looking(commands: list[str], place: Path) -> list[str]:
    """Return those that may run unasked in every mode, where no sandbox holds too."""
    root = place / "ws"
    paths = Paths(root, root, spill=place / "spill", add_dirs=(), hidden=(), person=place / "home")
    found = []
    for text in commands:
        command = weigh(text, paths.locate, lambda _: False)
        if command.deed is Deed.LOOKS:
            found.append(text)
    return found


@settings(
    max_examples=_LONG or 6,
    derandomize=not _LONG,
    deadline=None,
    database=None,
    phases=[Phase.generate],  # a fault names its command: there is nothing to shrink
    suppress_health_check=list(HealthCheck),
)
@given(commands=st.lists(_command(), min_size=60, max_size=60))
def test_what_only_looks_runs_nothing_else_and_writes_nothing(commands: list[str], place: Path) -> None:
    looking = _looking(commands, place)
    if not looking:
        return
    trace, printed = _traced(place, looking)
    assert not _faults(trace, looking), "\n".join(_faults(trace, looking))
    shown = [one for one in looking if _SECRET in _traced(place, [one])[1]] if _SECRET in printed else []
    assert not shown, shown
    assert not (place / "ws/w").exists()


def test_git_takes_the_next_word_where_it_is_taken_for_a_value(place: Path) -> None:
    wants = re.compile(r"requires a value|expects a numerical|requires an argument|switch `")
    unknown = re.compile(r"unrecognized argument|unknown (?:option|switch)|usage: git (?:rev-list|diff-(?:tree|index))")
    last = {"contains", "no-contains", "merged", "no-merged", "points-at"}  # which take HEAD where nothing follows them
    wrong = []
    for verb, allowed in LOOKING.items():
        if verb == "stash":
            continue  # it hands on to `git log`, and more behind
        before = [verb, *({"reflog": ["show"], "notes": ["list"]}.get(verb, []))]
        long = [
            f"--{entry[:-1]}" for entry in allowed.long.split() if re.fullmatch(r"[\w-]+[:@]", entry) and entry[:-1] not in last
        ]
        for flag in (*long, *(f"-{letter}" for letter in re.findall(r"(\w)[:@](?!:)", allowed.short))):
            ended = subprocess.run(
                ["git", *before, flag], cwd=place / "ws", stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
            )
            if not wants.search(ended.stderr) and not unknown.search(ended.stderr):
                wrong.append(f"git {' '.join(before)} {flag}: {ended.stderr[:80]!r}")
    assert not wrong


def test_the_trace_shows_what_runs_and_what_is_written(place: Path) -> None:
    for text in (
        "./x",
        "find . -maxdepth 0 -exec ./x \\;",
        "echo > w",
        "sort -o w in.txt",
        "sed -n '1e ./x' in.txt",
        "rm in.txt",
    ):
        assert _faults(_traced(place, [text])[0], [text]), text
    assert not _faults(_traced(place, ["ls; cat in.txt | sort > /dev/null"])[0], ["ls; cat in.txt | sort > /dev/null"])
