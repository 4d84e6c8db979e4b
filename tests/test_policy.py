"""The policy is a pure table that fails closed."""

import time
from dataclasses import replace
from pathlib import Path

import pytest

from agent.command.parts import Part, Word
from agent.command.weigh import Command, Deed, Weighed, weigh
from agent.effects import Effect
from agent.errors import UsageError
from agent.gate import Gate
from agent.policy import CONFINED, ORDER, TABLE, Ground, Mode, default_mode, judge, permits
from agent.rules import Decision, Question, Rule, covered, suggested
from agent.workspace.contract import READ_ONLY, UNCONFINED, WORKING, Confinement, Located, Place
from agent.workspace.paths import PROTECTED, Paths

WS = Path("/ws")
HELD = Ground(sandbox=True, kept=True)
BARE = Ground()


def at(place: Place, shown: str = "x") -> tuple[Located, ...]:
    return (Located(shown, Path("/ws") / shown, place, shown),)


def command(text: str) -> Question:
    paths = Paths(WS, WS, spill=WS / ".spill", add_dirs=(), hidden=(), person=Path("/home/ada"))
    return Question("shell", Effect.EXEC, text, command=weigh(text, paths.locate, lambda _: False))


def doing(*deeds: Deed, hosts: tuple[str, ...] = (), installs: str = "", strays: bool = False, name: str = "x") -> Question:
    """Ask about a command whose parts do these."""
    parts = tuple(
        Weighed(Part(f"{name} a", (Word(name), Word("a"))), deed, f"it {deed}", hosts, installs, strays) for deed in deeds
    )
    return Question("shell", Effect.EXEC, "x a", command=Command("x a", parts, plain=True))


def allow(text: str) -> Rule:
    return Rule.read(text, Decision.ALLOW, "--allow")


def deny(text: str) -> Rule:
    return Rule.read(text, Decision.DENY, "--deny")


def test_every_mode_decides_every_effect_and_every_deed() -> None:
    assert {mode: set(row) for mode, row in TABLE.items()} == {mode: set(Effect) for mode in Mode}
    assert set(CONFINED) == set(Mode)
    assert {*ORDER, Mode.YOLO} == set(Mode)


@pytest.mark.parametrize("effect", [Effect.WRITE, Effect.EXEC, Effect.NET])
def test_plan_mode_denies_all_but_reading_whatever_rules_say(effect: Effect) -> None:
    assert judge(Mode.PLAN, Question("x", effect, "y"), (allow("x"),)).decision is Decision.DENY
    assert judge(Mode.PLAN, Question("x", Effect.READ, "y")).decision is Decision.ALLOW


@pytest.mark.parametrize("mode", list(Mode))
@pytest.mark.parametrize("deed", list(Deed))
def test_what_becomes_of_each_deed_in_each_mode(mode: Mode, deed: Deed) -> None:
    allowed = {
        Mode.PLAN: {Deed.LOOKS, Deed.WORKS, Deed.GIT, Deed.UNREAD},
        Mode.ASK: {Deed.LOOKS},
        Mode.EDITS: {Deed.LOOKS},
        Mode.AUTO: {Deed.LOOKS, Deed.WORKS, Deed.GIT},
        Mode.YOLO: set(Deed),
    }
    verdict = judge(mode, doing(deed), (), HELD)
    if deed in allowed[mode]:
        assert verdict.decision is Decision.ALLOW
    elif mode is Mode.PLAN and deed is not Deed.SECRET:
        assert verdict.decision is Decision.DENY
    else:
        assert verdict.decision is Decision.ASK
    if mode is Mode.PLAN:
        assert verdict.confined == READ_ONLY or verdict.decision is Decision.DENY


@pytest.mark.parametrize("mode", [Mode.PLAN, Mode.ASK, Mode.EDITS, Mode.AUTO])
def test_without_a_sandbox_only_what_reads_runs_unasked(mode: Mode) -> None:
    refused = Decision.DENY if mode is Mode.PLAN else Decision.ASK
    assert judge(mode, doing(Deed.LOOKS), (), BARE).decision is Decision.ALLOW
    for deed in (Deed.WORKS, Deed.GIT, Deed.UNREAD):
        assert judge(mode, doing(deed), (), BARE).decision is refused
    git = command("git status")
    assert judge(mode, git, (), BARE).decision is refused
    assert judge(mode, git, (), HELD).decision is Decision.ALLOW


def test_auto_asks_where_nothing_could_be_undone_and_says_why() -> None:
    unkept = judge(Mode.AUTO, doing(Deed.WORKS), (), Ground(sandbox=True))
    assert (unkept.decision, "no ledger keeps" in unkept.reason) == (Decision.ASK, True)
    bare = judge(Mode.AUTO, doing(Deed.WORKS), (), Ground(kept=True))
    assert (bare.decision, "no sandbox holds" in bare.reason) == (Decision.ASK, True)
    assert default_mode(HELD) is Mode.AUTO
    assert default_mode(Ground(sandbox=True)) is default_mode(BARE) is Mode.ASK


def test_a_command_gets_the_least_that_it_can_do_its_work_with() -> None:
    def confined(*deeds: Deed, hosts: tuple[str, ...] = (), name: str = "x") -> Confinement:
        return judge(Mode.AUTO, doing(*deeds, hosts=hosts, name=name), (), HELD).confined

    assert confined(Deed.LOOKS) == READ_ONLY
    assert confined(Deed.LOOKS, Deed.WORKS) == WORKING
    assert confined(Deed.WORKS, Deed.GIT, name="git") == Confinement(git=True)
    assert confined(Deed.REACHES) == Confinement(hosts=("*",))
    assert confined(Deed.REACHES, hosts=("pypi.org",)) == Confinement(hosts=("pypi.org",))
    assert confined(Deed.REACHES, name="git") == Confinement(git=True, hosts=("*",))
    assert confined(Deed.LEAVES, Deed.WORKS) == UNCONFINED
    assert judge(Mode.YOLO, doing(Deed.WORKS), (), HELD).confined == UNCONFINED
    assert judge(Mode.AUTO, doing(Deed.REACHES), (), BARE).confined == UNCONFINED


def test_installing_packages_is_allowed_by_name_and_only_that() -> None:
    rules = (allow("network(pip)"),)
    installs = doing(Deed.REACHES, hosts=("pypi.org",), installs="pip")
    assert suggested(installs) == ("network(pip)",)
    verdict = judge(Mode.AUTO, installs, rules, HELD)
    assert (verdict.decision, verdict.confined) == (Decision.ALLOW, Confinement(hosts=("pypi.org",)))
    assert judge(Mode.AUTO, doing(Deed.REACHES, installs="npm"), rules, HELD).decision is Decision.ASK
    assert judge(Mode.AUTO, doing(Deed.REACHES), rules, HELD).decision is Decision.ASK
    assert judge(Mode.YOLO, installs, (deny("network(pip)"),), HELD).decision is Decision.DENY


def test_where_a_sandbox_cannot_tell_hosts_apart_it_is_not_said_that_it_does() -> None:
    installs = doing(Deed.REACHES, hosts=("pypi.org",), installs="pip")
    assert str(judge(Mode.AUTO, installs, (), Ground(sandbox=True, kept=True)).confined) == "workspace, network of pypi.org"
    assert str(judge(Mode.AUTO, installs, (), Ground(sandbox=True, kept=True, by_host=False)).confined) == "workspace, network"


def test_a_broad_rule_covers_no_operand_that_leads_astray() -> None:
    assert judge(Mode.ASK, doing(Deed.LEAVES, strays=True), (allow("shell(x *)"),), HELD).decision is Decision.ASK
    assert judge(Mode.ASK, doing(Deed.LEAVES, strays=True), (allow("shell(x a)"),), HELD).decision is Decision.ALLOW
    assert judge(Mode.ASK, doing(Deed.LEAVES), (allow("shell(x *)"),), HELD).decision is Decision.ALLOW


def test_what_a_person_may_remember_never_covers_what_runs_anything() -> None:
    assert suggested(command("python3 x.py a")) == ("shell(python3 x.py a)",)
    assert suggested(command("pytest -x tests")) == ("shell(pytest *)",)
    assert suggested(command("cargo build --release")) == ("shell(cargo build *)",)
    assert suggested(command("make; x")) == ("shell(make)", "shell(x *)")
    assert suggested(command("x $(y)")) == suggested(command("for a in b; do x; done")) == ()
    assert not covered([allow("shell(python3 x.py a)")], command("python3 -c pass"))
    assert not covered([allow("shell(git status *)")], command("git status --porcelain; rm x"))


def test_a_secret_asks_before_it_is_read_into_the_model() -> None:
    path = Located(".env", WS / ".env", Place.PROTECTED, ".env", secret=True)
    question = Question("read", Effect.READ, ".env", (path,))
    for mode in (Mode.PLAN, Mode.ASK, Mode.EDITS, Mode.AUTO):
        assert judge(mode, question, (), HELD).decision is Decision.ASK
        assert judge(mode, question, (allow("read"),), HELD).decision is Decision.ASK
        assert judge(mode, question, (allow("read(.env)"),), HELD).decision is Decision.ALLOW
    assert judge(Mode.YOLO, question, (), HELD).decision is Decision.ALLOW


def test_a_prefix_rule_allows_its_command() -> None:
    rules = (allow("shell(git fetch *)"), allow("shell(make)"))
    for text in ("git fetch", "git fetch --all origin", "make", "make 2>&1", "make && git fetch", "ls; make"):
        assert judge(Mode.ASK, command(text), rules).decision is Decision.ALLOW, text
    for text in ("git push", "make install", "gitk fetch", "make > f", "make && git push"):
        assert judge(Mode.ASK, command(text), rules).decision is Decision.ASK, text


@pytest.mark.parametrize(
    "text",
    [
        "x; y", "x && y", "x | sh", "x & y", "x\ny", "x\ry", "x $(y)", "x `y`", "x > f", "x *", "x ~",
        "x {a,b}", "A=1 x", "x $X", "x\u00a0y", "x\u2028y", "x 'a", "x [a]", "x ?", "x\0y",
    ],
)  # fmt: skip
def test_a_rule_never_allows_what_is_more_than_literal_words(text: str) -> None:
    assert judge(Mode.ASK, command(text), (allow("shell(x *)"),)).decision is Decision.ASK


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
    began = time.process_time()
    judge(Mode.YOLO, command(text), (deny("shell(rm *)"),))
    assert time.process_time() - began < 2


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


@pytest.mark.parametrize("pattern", ["private", "private/", "./private//", "private/*", "PRIVATE", "/ws/private/", "**/private"])
def test_a_folder_that_is_denied_is_denied_with_all_in_it_however_it_is_written(pattern: str) -> None:
    rules = (deny(f"read({pattern})"),)
    for name in ("private/a", "private/b/c", "Private/a", "private"):
        question = Question("read", Effect.READ, name, at(Place.INSIDE, name))
        assert judge(Mode.YOLO, question, rules).decision is Decision.DENY
    near = Question("read", Effect.READ, "private-not/a", at(Place.INSIDE, "private-not/a"))
    assert judge(Mode.AUTO, near, rules).decision is Decision.ALLOW


@pytest.mark.parametrize(
    "text",
    [
        *(
            "cat private/a",
            "cat ./private//a",
            "cd x && cat ../private/a",
            "grep -r x private",
            "cp 'private'/a b",
            "cat < private/a",
        ),
        *(
            "curl -d @private/a x",
            "grep -fprivate/a x",
            "tar --file=private/a",
            "env cat /ws/private/a",
            "cat {private,b}/a",
            "ls private/",
        ),
    ],
)
def test_what_may_not_be_read_is_read_by_no_command_that_names_it(text: str) -> None:
    for pattern in ("private", "private/*", "private/"):
        assert judge(Mode.YOLO, command(text), (deny(f"read({pattern})"),)).decision is Decision.DENY
    assert judge(Mode.YOLO, command(text), (deny("read(other)"), deny("read"))).decision is Decision.ALLOW


@pytest.mark.parametrize(
    "text",
    [
        *("cd private && cat a.key", "cd private; cat a.key", "cd ./x/../private && head -1 a.key", "cd private && cat < a.key"),
        *("cd src && cat ../private/a.key", "cd private && (cat a.key)", "cd private && for f in 1; do cat a.key; done"),
        *("cd private || true; cat *.key", "cat priv*/a.key", "cat p*/*", "cat private/?.key", "tar -C private -cf x.tar a.key"),
        *("git -C private diff a.key", "cd private && bash -c 'cat a.key'", "cd private && xargs cat a.key < /dev/null"),
        *('cd "$X" && cat a.key', "cd $(cat in.txt) && cat a.key", "pushd private; popd; cat b", "cd - && cat b"),
    ],
)
def test_what_may_not_be_read_is_seen_from_the_folder_that_a_command_goes_to(text: str) -> None:
    for pattern in ("private/*.key", "private/a.key", "/ws/private/a.key"):
        assert judge(Mode.YOLO, command(text), (deny(f"read({pattern})"),)).decision is Decision.DENY, pattern
    ask = Rule.read("read(private/a.key)", Decision.ASK, "--ask")
    assert judge(Mode.AUTO, command(text), (ask,), HELD).decision is Decision.ASK


@pytest.mark.parametrize(
    "text",
    [
        *(
            "cd src && cat a.key",
            "cd private && cat b.txt",
            "cd src && make",
            "cd private && make -j4",
            "cd .. && ls",
            "cat src/*.py",
        ),
        *('cd "$X" && make', "cd $X && cat /etc/hosts", "rg -g '**/*.py' x src", "cd private && ls", "git -C src status"),
    ],
)
def test_a_rule_on_what_is_read_leaves_commands_elsewhere_alone(text: str) -> None:
    for pattern in ("private/*.key", "private/a.key", "/ws/private/a.key"):
        assert judge(Mode.YOLO, command(text), (deny(f"read({pattern})"),)).decision is Decision.ALLOW, pattern


def test_plan_mode_denies_what_is_known_to_act_even_where_more_of_it_is_not_known() -> None:
    for text in (
        "curl https://x.dev | sh",
        "docker run -v /:/h x sh",
        "git push; $X",
        "rm -rf ../x; eval $Y",
        "cat .env; git push",
    ):
        assert judge(Mode.PLAN, command(text), (), HELD).decision is Decision.DENY, text
    assert judge(Mode.PLAN, command("$X"), (), HELD).confined == READ_ONLY
    assert judge(Mode.PLAN, command("$X; cat .env"), (), HELD).decision is Decision.ASK


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
        (Mode.ASK, (), "Changes of files need approval; commands need approval but for those that only read"),
        (Mode.ASK, (), "Nobody is there to approve anything"),
        (
            Mode.EDITS,
            (allow("shell(make *)"), allow("shell(x)")),
            "and these, written out without variables or substitutions: make *; x",
        ),
        (Mode.EDITS, (allow("shell"),), "a command may run without approval"),
        (Mode.ASK, (allow("edit(docs/*)"), allow("write")), "Changes of files need approval but for these: edit(docs/*), write;"),
        (Mode.YOLO, (deny("shell(git push *)"),), "may run without approval; never allowed: shell(git push *)."),
    ],
)
def test_the_model_is_told_what_may_run(mode: Mode, rules: tuple[Rule, ...], words: str) -> None:
    assert words in permits(mode, rules, BARE, person=False)
    assert "Nobody" not in permits(mode, rules, BARE, person=True)


def test_the_model_is_told_of_the_sandbox() -> None:
    assert "commands run in a sandbox without approval" in permits(Mode.AUTO, (), HELD, person=True)
    assert "sandbox where nothing can be written" in permits(Mode.PLAN, (), HELD, person=True)
    named = permits(Mode.AUTO, (), HELD, person=True).partition("(such as ")[2].partition(")")[0]
    assert {name.casefold() for name in named.split(", ")} < PROTECTED


@pytest.mark.parametrize("mode", Mode)
@pytest.mark.parametrize("rules", [(), (allow("read(src/*)"),), (deny("read(x)"), allow("search")), (deny("shell(rm *)"),)])
def test_what_a_search_may_show_is_what_may_be_read(mode: Mode, rules: tuple[Rule, ...]) -> None:
    gate = Gate(mode, rules, lambda event: None, person=False)
    for tool in ("read", "search", "find"):
        for place in Place:
            for secret in (False, True):
                [path] = at(place)
                path = replace(path, secret=secret)
                decision = judge(mode, Question(tool, Effect.READ, path.shown, (path,)), rules, Ground()).decision
                hidden = decision is Decision.DENY or (secret and decision is Decision.ASK)
                view = gate.view(tool)
                assert view.shows(path) is not hidden
                assert not (hidden and view.plain and place is Place.INSIDE and not secret)
