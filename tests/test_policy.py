"""The policy is a pure table that fails closed."""

import time
from pathlib import Path

import pytest

from agent.errors import UsageError
from agent.policy import TABLE, Decision, Mode, Question, Rule, judge, permits, plain_words
from agent.tool import Effect
from agent.workspace.contract import Located, Place


def at(place: Place, shown: str = "x") -> tuple[Located, ...]:
    return (Located(shown, Path("/ws") / shown, place, shown),)


def command(text: str) -> Question:
    return Question("shell", Effect.EXEC, text)


def allow(text: str) -> Rule:
    return Rule.read(text, Decision.ALLOW, "--allow")


def deny(text: str) -> Rule:
    return Rule.read(text, Decision.DENY, "--deny")


def test_every_mode_decides_every_effect() -> None:
    assert {mode: set(row) for mode, row in TABLE.items()} == {mode: set(Effect) for mode in Mode}


@pytest.mark.parametrize("effect", [Effect.WRITE, Effect.EXEC, Effect.NET])
def test_plan_mode_denies_all_but_reading_whatever_rules_say(effect: Effect) -> None:
    assert judge(Mode.PLAN, Question("x", effect, "y"), (allow("x"),)).decision is Decision.DENY
    assert judge(Mode.PLAN, Question("x", Effect.READ, "y")).decision is Decision.ALLOW


def test_a_prefix_rule_allows_its_command() -> None:
    rules = (allow("shell(git diff *)"), allow("shell(make)"))
    for text in ("git diff", "git diff --stat HEAD", "make"):
        assert judge(Mode.ASK, command(text), rules).decision is Decision.ALLOW
    for text in ("git", "git push", "make install", "gitk diff"):
        assert judge(Mode.ASK, command(text), rules).decision is Decision.ASK


@pytest.mark.parametrize(
    "text",
    [
        "ls; id", "ls && id", "ls | sh", "ls & id", "ls\nid", "ls\rid", "ls $(id)", "ls `id`", "ls > f", "ls < f", "ls *", "ls ~",
        "ls {a,b}", "ls \\x", "A=1 ls", "ls $X", "ls #x", "ls !x", "ls\u00a0x", "ls\u2028id", "ls 'a", "ls [a]", "ls ?", "ls\0id",
    ],
)  # fmt: skip
def test_a_rule_never_allows_what_is_more_than_literal_words(text: str) -> None:
    assert plain_words(text) is None
    assert judge(Mode.ASK, command(text), (allow("shell(ls *)"),)).decision is Decision.ASK


@pytest.mark.parametrize(
    "text",
    ["rm x", "env rm x", "true && rm x", "sudo rm x", "bash -c 'rm x'", "\\rm x", "'r'm x", "/bin/rm x", "x=$(rm y)", "ls;rm x",
     " && ".join(["true"] * 200) + " && rm x", "xargs rm", "rm 'unclosed"],
)  # fmt: skip
def test_a_deny_rule_sees_through_compounds_and_wrappers_without_a_cap(text: str) -> None:
    assert judge(Mode.YOLO, command(text), (deny("shell(rm *)"), allow("shell"))).decision is Decision.DENY


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        ("scripts/deploy.sh", "scripts/deploy.sh"),
        ("scripts/deploy.sh", "/srv/app/scripts/deploy.sh --now"),
        ("./deploy.sh *", "./deploy.sh now"),
        ("./deploy.sh *", "bash deploy.sh"),
        ("echo /etc/x", "echo /etc/x"),
        ("git * --force", "git push --force"),
        ("git * --force", "git push origin --force=true"),
        ('echo "hi there"', "echo 'hi there'"),
        ("git push *", "git -C . push"),
        ("git push *", "git -c x=y push origin"),
        ("echo hi", "ec\\\nho hi"),
        ("echo hi *", "{echo,hi}"),
        ("pip* *", "pip3 install x"),
        ("git push *", "git pu{sh,}"),
        ("git push *", "g{i,}t{,} push"),
        ("git push *", "env -S'git push'"),
        ("git push *", ": {" + ",".join(str(number) for number in range(64)) + "}; git pu{sh,}"),
        ("git push *", ": " + "{a,b}" * 40 + "; git pu{sh,}"),
    ],
)
def test_a_deny_rule_matches_its_words_however_they_are_written(rule: str, text: str) -> None:
    assert judge(Mode.YOLO, command(text), (deny(f"shell({rule})"),)).decision is Decision.DENY


@pytest.mark.parametrize("text", ["echo {" + "," * 60_000, "{," * 50_000, "python3 - <<E\n" + '{"a": 1, "b": 2},\n' * 15_000])
def test_a_long_command_is_judged_at_once(text: str) -> None:
    began = time.monotonic()
    judge(Mode.YOLO, command(text), (deny("shell(rm *)"),))
    assert time.monotonic() - began < 2


def test_a_deny_rule_leaves_other_commands_alone() -> None:
    for text in ("git pull", "git commit -m x", "ls pushed", "echo git"):
        assert judge(Mode.YOLO, command(text), (deny("shell(git push *)"),)).decision is Decision.ALLOW


def test_a_path_is_judged_by_where_it_leads_and_denied_by_its_name_too() -> None:
    leads = Question("write", Effect.WRITE, "src/../other.txt", at(Place.INSIDE, "other.txt"))
    assert judge(Mode.ASK, leads, (allow("write(src/*)"),)).decision is Decision.ASK
    hidden = Question("write", Effect.WRITE, "./secrets/a", at(Place.INSIDE, "secrets/a"))
    assert judge(Mode.YOLO, hidden, (deny("write(secrets/*)"),)).decision is Decision.DENY
    named = Question("write", Effect.WRITE, "secrets/link", at(Place.INSIDE, "elsewhere"))
    assert judge(Mode.YOLO, named, (deny("write(secrets/*)"),)).decision is Decision.DENY
    path = Located("b/../link/k", Path("/ws/real/k"), Place.INSIDE, "real/k", "link/k")
    unclean = Question("read", Effect.READ, "b/../link/k", (path,))
    assert judge(Mode.YOLO, unclean, (deny("read(link/*)"),)).decision is Decision.DENY
    for tool in ("search", "find", "edit", "write"):
        folder = Question(tool, Effect.READ, "secrets", at(Place.INSIDE, "secrets"))
        assert judge(Mode.YOLO, folder, (deny("read(secrets/*)"),)).decision is Decision.DENY
    absolute = Question("read", Effect.READ, "key.txt", at(Place.INSIDE, "key.txt"))
    assert judge(Mode.YOLO, absolute, (deny("read(/ws/key.txt)"),)).decision is Decision.DENY


def test_what_is_allowed_has_no_gaps() -> None:
    for rule in ("shell(git * --stat)", "shell(git diff*)", "shell(make*)"):
        with pytest.raises(UsageError, match="only stand at the end"):
            allow(rule)
    with pytest.raises(UsageError, match="names no command"):
        deny("shell(&&)")
    for rule in ("shell( )", "read( )", "read()"):
        with pytest.raises(UsageError, match="is no rule"):
            deny(rule)


def test_deny_beats_allow() -> None:
    rules = (allow("edit(src/*)"), deny("edit(src/secret.py)"))
    assert judge(Mode.AUTO, Question("edit", Effect.WRITE, "src/secret.py"), rules).decision is Decision.DENY
    assert judge(Mode.ASK, Question("edit", Effect.WRITE, "src/a.py"), rules).decision is Decision.ALLOW
    assert judge(Mode.ASK, Question("edit", Effect.WRITE, "a/src/a.py"), rules).decision is Decision.ASK


def test_places_ask_where_the_mode_alone_would_allow() -> None:
    for place in (Place.OUTSIDE, Place.PROTECTED):
        assert judge(Mode.AUTO, Question("edit", Effect.WRITE, "x", at(place))).decision is Decision.ASK
    assert judge(Mode.AUTO, Question("read", Effect.READ, "x", at(Place.OUTSIDE))).decision is Decision.ASK
    assert judge(Mode.AUTO, Question("read", Effect.READ, "x", at(Place.PROTECTED))).decision is Decision.ALLOW
    assert judge(Mode.YOLO, Question("read", Effect.READ, "x", at(Place.HIDDEN))).decision is Decision.DENY


def test_a_broad_rule_does_not_cover_what_lies_outside() -> None:
    assert (
        judge(Mode.AUTO, Question("edit", Effect.WRITE, "/etc/x", at(Place.OUTSIDE)), (allow("edit"),)).decision is Decision.ASK
    )


def test_what_is_no_rule_is_said_in_one_line() -> None:
    with pytest.raises(UsageError, match=r"is no rule; write tool or tool\(pattern\)"):
        allow("git diff *")


@pytest.mark.parametrize(
    ("mode", "rules", "words"),
    [
        (Mode.PLAN, (allow("shell(make)"),), "This run is read-only"),
        (Mode.ASK, (), "Changes of files need approval; commands need approval. Nobody is there to approve anything"),
        (
            Mode.EDITS,
            (allow("shell(make *)"), allow("shell(ls)")),
            "commands need approval but for these, each sent alone",
        ),
        (Mode.EDITS, (allow("shell"),), "a command may run without approval"),
        (Mode.ASK, (allow("edit(docs/*)"), allow("write")), "Changes of files need approval but for these: edit(docs/*), write;"),
        (Mode.YOLO, (deny("shell(git push *)"),), "may run without approval; never allowed: shell(git push *)."),
    ],
)
def test_the_model_is_told_what_may_run(mode: Mode, rules: tuple[Rule, ...], words: str) -> None:
    assert words in permits(mode, rules, person=False)
    assert "Nobody" not in permits(mode, rules, person=True)
