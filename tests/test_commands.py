"""What real commands, and tricks, are judged as: a corpus labelled by hand, held against the weighing and the real policy."""

import re
import tomllib
from collections import Counter
from pathlib import Path

import pytest

from agent.command.weigh import Command, Deed, weigh
from agent.effects import Effect
from agent.policy import Ground, Mode, judge
from agent.rules import Decision, Question
from agent.workspace.contract import Located
from agent.workspace.paths import Paths

_CORPUS = Path(__file__).with_name("commands.toml")
_HELD = Ground(sandbox=True, kept=True)
_FILES = (
    *(
        "README.md",
        "pyproject.toml",
        "package.json",
        "in.txt",
        "out.txt",
        "data.csv",
        "data.json",
        ".env",
        ".env.example",
    ),
    *("run.sh", "src/a.py", "src/b.py", "src/deep/c.txt", "tests/test_a.py", "dash/-rf", ".github/workflows/ci.yml"),
    *("build/x.o", "node_modules/m/i.js", ".git/config", ".git/HEAD"),
)
_MARK = re.compile("\u27e8([0-9A-F]+)\u27e9")
_A, _Q, _D = Decision.ALLOW, Decision.ASK, Decision.DENY
# What becomes of each: in auto and ask mode, and in plan mode; where a sandbox holds, and where none does.
_ASKED = (_Q, _Q, _Q, _Q)
_VERDICTS: dict[str, tuple[tuple[Decision, ...], tuple[Decision, ...]]] = {
    "looks": ((_A, _A, _A, _A), (_A, _A)),
    "peeks": ((_A, _A, _Q, _Q), (_A, _D)),
    "works": ((_A, _Q, _Q, _Q), (_A, _D)),
    "git": ((_A, _Q, _Q, _Q), (_A, _D)),
    "secret": (_ASKED, (_Q, _Q)),
    "reaches": (_ASKED, (_D, _D)),
    "ruins": (_ASKED, (_D, _D)),
    "leaves": (_ASKED, (_D, _D)),
    "unread": (_ASKED, (_A, _D)),
}


def _text(line: str) -> str:
    marked = line.replace("\u240a", "\n").replace("\u2409", "\t")
    return _MARK.sub(lambda found: chr(int(found[1], 16)), marked)


def corpus() -> list[tuple[str, str]]:
    """Return each label and the command that it is of."""
    groups = tomllib.loads(_CORPUS.read_text())["group"]
    return [
        (label, _text(line))
        for group in groups
        for label in _VERDICTS
        for line in group.get(label, "").split("\n")
        if line.strip()
    ]


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> Paths:
    base = tmp_path_factory.mktemp("corpus")
    root, outside, person = base / "ws", base / "outside", base / "ada"
    for name in _FILES:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x\n")
    outside.mkdir()
    (outside / "x.txt").write_text("x\n")
    person.mkdir()
    (root / "link").symlink_to(outside)
    (root / "passwd").symlink_to("/etc/passwd")
    return Paths(root, root, spill=base / "spill", add_dirs=(), hidden=(), person=person)


def weighed(text: str, paths: Paths) -> Command:
    """Weigh a command there, where the ledger does not keep what git ignores."""

    def unkept(located: Located) -> bool:
        if not located.real.is_relative_to(paths.root):
            return False
        names = located.real.relative_to(paths.root).parts
        return not names or names[0] in {"build", "node_modules", ".env"}  # the whole folder holds some of it

    return weigh(text, paths.locate, unkept)


def _label(command: Command) -> str:
    if command.deed is Deed.LOOKS and any(one.sandboxed for one in command.parts):
        return "peeks"
    return str(command.deed)


def _verdicts(text: str, command: Command) -> tuple[tuple[Decision, ...], tuple[Decision, ...]]:
    question = Question("shell", Effect.EXEC, text, command=command)

    def one(mode: Mode, ground: Ground) -> Decision:
        return judge(mode, question, (), ground).decision

    bare = Ground(kept=True)
    return (
        (one(Mode.AUTO, _HELD), one(Mode.ASK, _HELD), one(Mode.AUTO, bare), one(Mode.ASK, bare)),
        (one(Mode.PLAN, _HELD), one(Mode.PLAN, bare)),
    )


def test_every_command_of_the_corpus_is_judged_as_it_is_labelled(paths: Paths) -> None:
    found = []
    labels = list(_VERDICTS)
    for label, text in corpus():
        command = weighed(text, paths)
        got = _label(command)
        if got != label:
            how = "WEAKER" if labels.index(got) < labels.index(label) else "stricter"
            found.append(f"{how}: {label} but judged {got}, as {command.why}: {text!r}")
    assert not found, f"{len(found)} commands\n" + "\n".join(sorted(found))


def test_what_each_label_means_holds_in_every_mode(paths: Paths) -> None:
    found = []
    for label, text in corpus():
        command = weighed(text, paths)
        got, wanted = _verdicts(text, command), _VERDICTS[label]
        if label == "unread" and command.doing(Deed.REACHES, Deed.RUINS, Deed.LEAVES):
            wanted = (_ASKED, (_D, _D))  # what else it would do is not known, but that it acts is
        elif label == "unread" and command.doing(Deed.SECRET):
            wanted = (_ASKED, (_Q, _Q))
        if got != wanted:
            found.append(f"{label}: {text!r} gets {got}")
    assert not found, f"{len(found)} commands\n" + "\n".join(found)


def test_the_corpus_is_large_and_says_each_thing_once() -> None:
    lines = corpus()
    twice = [text for text, count in Counter(text for _, text in lines).items() if count > 1]
    assert not twice
    assert len(lines) >= 520
    assert {label for label, _ in lines} == set(_VERDICTS)
