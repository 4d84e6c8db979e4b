"""Owns the tests of reading commands: what each part is, and that nothing is read otherwise than bash reads it."""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.command.parts import Script
from agent.command.script import read

# Lines of one command named a, of which bash says what it gets. The marks stand for a newline, a tab and a blank at an end.
LINES = r"""
a
a b
a 'b c'
a "b c"
a b\ c
a 'it'\''s'
a "it's"
a "say \"hi\""
a "back\\slash"
a "keep\backslash"
a "dollar\$x"
a "tick\`x\`"
a 'dollar$x'
a 'tick`x`'
a '\n'
a "\n"
a \n
a \\n
a \\\\
a ''
a ""
a '' ""
a x''y
a x""y
a 'r'm
a e''xec
a -ex\ec
a -e"x"ec
a "-exec"
a '-exec'
a \-exec
a $'a\tb'
a $'a\nb'
a $'\x41\x42'
a $'\101\102'
a $'\''
a $'\"'
a $'\\'
a $'\e[0m'
a $'\a\b\f\v\r'
a $'a'b
a b$'a'
a "$'a'"
a '$'"'"
a $
a a$
a $ b
a "$"
a "a$"
a "$ "
a "a $"
a a$.b
a %
a 100%
a a%b
a a@b
a @
a ^
a HEAD^
a HEAD~1
a a~b
a a^b
a HEAD@{1}
a {}
a {} \;
a { }
a }
a {
a {a}
a a{b}c
a {a
a a}
a }{
a "{a,b}"
a '{a,b}'
a \{a,b\}
a {a","b}
a {a\,b}
a '*'
a "*"
a \*
a '?'
a \?
a "[a]"
a \[a\]
a [
a ]
a [a
a a]
a '~'
a "~"
a \~
a a=b
a a=b=c
a --a=b
a --a='b c'
a --a="b c"
a -Dx="y z"
a =
a ==
a a=
a !
a !a
a a!b
a "!a"
a '!a'
a #comment
a b#c
a b #c
a '#c'
a "#c"
a \#c
a b\␊c
a \␊b
a b \␊ c
a 'b\␊c'
a "b\␊c"
a "b␊c"
a 'b␊c'
a b;
a b ;
a␉b
a  b   c
  a b
a b␠␠
a ,
a .
a ..
a ./x
a :
a a:b
a +
a +x
a -
a --
a -- -x
a -1
a 1
a 01
a 1 2
a _
a é
a 'é ü'
a "日本語"
a \é
a $'é'
a if
a then
a fi
a do done
a time
a in
a case esac
a function
a select
a coproc
a [[ ]]
'a' b
"a" b
\a b
a'' b
''a b
$'a' b
a\␊ b
a "" '' b
a "a"'b'c$'d'\e
a 'a'"b"'c'
a "'"'"'
a "a\"b"c
a 'a"b'
a "a'b"
a "a\'b"
a '\\'
a "\\\\"
a \'
a \"
a \'a\'
a \"a\"
a \␠
a \  b
a b\␉c
a \;
a \|
a \&
a \(\)
a \<\>
a ";"
a '|'
a "&&"
a '>' "<"
a "a;b|c&d"
a '$(x)'
a "\$(x)"
a \$\(x\)
a \`x\`
a '<(x)'
a "<(x)"
a s/a/b/g
a 's/a b/c/'
a 1,5p
a '1,5p'
a -n5
a a,b
a a..b
a 1..5
a 'a'=b
a "a"=b
a \a=b
a /etc/passwd
a ../x
a http://x/y
a 'http://x/y?z=1&w=2'
a user@host:path
a a:b:c
a --format='%h %s'
a %s\\n
a "%s\n"
a '%s\n'
a "a␊b" c
a $""␠
a 1>/dev/null b
a >/dev/null b c
a b 2>&1 c
a b 2>/dev/null
a 2 >/dev/null
a 2\>x
a "2">/dev/null
a b</dev/null c
a <<<x b
a <<< 'x y' b
a 3>/dev/null b
a &>/dev/null b
a >&2 b
"""
MARKS = {0x240A: "\n", 0x2409: "\t", 0x2420: " "}
COMMANDS = tuple(line.translate(MARKS) for line in LINES.strip().splitlines())
TELL = r"""
a() { [ $# = 0 ] || printf '%s\0' "$@" >> "$LOG"; }
for line; do eval "$line"; printf '\2' >> "$LOG"; done
"""


def given_by_bash(lines: tuple[str, ...]) -> list[tuple[str, ...]]:
    """Return what a command named `a` gets in each of these lines."""
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder, "log")
        environment = {"LOG": str(log), "LC_ALL": "C.UTF-8", "HOME": folder, "PATH": "/usr/bin:/bin"}
        empty = Path(folder, "empty")
        empty.mkdir()
        subprocess.run(["/bin/bash", "--norc", "-c", TELL, "bash", *lines], env=environment, cwd=empty, check=True, timeout=60)
        told = log.read_bytes().split(b"\2")[:-1]
    return [tuple(word.decode("utf-8", "surrogateescape") for word in one.split(b"\0")[:-1]) for one in told]


def argvs(script: Script) -> list[tuple[str, ...]]:
    return [part.argv for part in script.parts]


def test_what_is_literal_is_what_bash_gives_to_the_program() -> None:
    told = given_by_bash(COMMANDS)
    assert len(told) == len(COMMANDS)
    literal = 0
    for line, words in zip(COMMANDS, told, strict=True):
        part = read(line).parts[0]
        if part.literal:
            literal += 1
            assert part.argv == ("a", *words), line
    assert literal >= 200


PIECES = st.one_of(
    st.sampled_from(
        ("''", '""', "\\ ", "\\\\", '\\"', "\\'", "\\\n", "$", "#", "~", "{", "}", "!", "=", ":", ",", "^", "]", "..")
    ),
    st.sampled_from(("$'\\x41'", "$'\\''", "$'\\101\\n'", "$'\\\\'", "$'\\e\\cA'", "$'\\u00e9'", "$'\\q\\x'", "$'\\0'", '$"a"')),
    st.text("ab-\u00e9\\/.", min_size=1, max_size=4).map(lambda text: text.rstrip("\\") or "b"),
    st.text('ab \n\t\\$"`;|&<>(){}*?[]~#!\u00e9', max_size=6).map(lambda text: f"'{text}'"),
    st.text("ab \n\t;|&<>(){}*?[]~#!'\u00e9", max_size=6).map(lambda text: f'"{text}"'),
    st.sampled_from(('"\\$"', '"\\`"', '"\\""', '"\\\\"', '"\\a"', '"\\\n"', '"$"', "*", "?", "[b", "$x", "{b,c}")),
)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.lists(st.lists(PIECES, min_size=1, max_size=4).map("".join), max_size=4).map(" ".join), min_size=1, max_size=40)
)
def test_no_way_of_quoting_makes_a_literal_word_mean_something_else(texts: list[str]) -> None:
    lines = tuple(f"a {text}" for text in texts)
    for line, words in zip(lines, given_by_bash(lines), strict=True):
        script = read(line)
        if script.plain and script.parts[0].literal:
            assert argvs(script) == [("a", *words)], line


def test_each_command_of_a_compound_is_a_part() -> None:
    script = read("ls -l && id; cat f | sh\nmake || true")
    assert argvs(script) == [("ls", "-l"), ("id",), ("cat", "f"), ("sh",), ("make",), ("true",)]
    assert script.plain
    assert not script.fault


@pytest.mark.parametrize(
    "text",
    [
        "echo $(rm x)",
        "echo `rm x`",
        'echo "${x:=$(rm x)}"',
        "echo ${x:-`rm x`}",
        "cat <(rm x)",
        "echo > >(rm x)",
        "cat <<E\n$(rm x)\nE",
        "cat <<E\n`rm x`\nE",
        "cat <<E | rm x\nE",
        "(rm x)",
        "( (rm x) )",
        "{ rm x; }",
        "f() { rm x; }",
        "function f { rm x; }",
        "if rm x; then :; fi",
        "if :; then :; elif :; then rm x; fi",
        "while rm x; do :; done",
        "until :; do rm x; done",
        "for i in $(rm x); do :; done",
        "for ((i = $(rm x); i < 1; i++)); do :; done",
        "case $(rm x) in a) ;; esac",
        "case a in b) ;; *) rm x ;; esac",
        "select i in a; do rm x; done",
        "x=$(rm x)",
        "a # \\\nrm x; echo $((1))",
        "x=(1 $(rm x))",
        "x[$(rm x)]=1",
        "export x=$(rm x)",
        "echo $((1 + $(rm x)))",
        "[[ -f $(rm x) ]]",
        "(( $(rm x) ))",
        "! rm x",
        "time rm x",
        "time -p -- rm x",
        "time { rm x; }",
        "coproc rm x",
        "coproc NAME { rm x; }",
        "a & rm x",
        "a |& rm x",
        "a > f & rm x > g",
        "echo `echo \\`rm x\\``",
        "rm\\\n x",
        "> f rm x",
        "rm > f x",
        "A=1 rm x",
        "'r'm $'\\x78'",
        '\\rm "x"',
        "true && " * 200 + "rm x",
        "true; " * 9000 + "rm x",
        "ls;;rm x",
        "if rm x",
        "echo ) ; rm x",
        "echo 'a ; rm x",
        "((a) ; rm x)",
        "\x00; rm x",
        "echo \u202e; rm x",
    ],
)
def test_a_command_is_found_wherever_it_stands(text: str) -> None:
    assert ("rm", "x") in argvs(read(text))


@pytest.mark.parametrize(
    "text",
    [
        "ls\rid",
        "ls\x00",
        "ls\u00a0-l",
        "ls\u2028id",
        "ls \u200bx",
        "echo \u202ex",
        "echo \ufeff",
        "ls \x1b[0m",
        "echo \u3164",
        "ls \x7f",
        "ls \ud800",
        "ls;;id",
        "echo 'x",
        'echo "x',
        "echo $(x",
        "if true",
        "echo )",
        "a |",
        "a && ",
        "true; " * 65,
        "echo " + "x" * 9000,
        "case x in",
        "}",
        "a ${x y}",
    ],
)
def test_what_may_not_mean_what_it_seems_to_is_a_fault(text: str) -> None:
    script = read(text)
    assert script.fault
    assert not script.plain


@pytest.mark.parametrize(
    "text",
    [
        "ls &",
        "(ls)",
        "{ ls; }",
        "if a; then b; fi",
        "for i in a; do b; done",
        "f() { a; }",
        "echo $(a)",
        "echo `a`",
        "cat <(a)",
        "a |& b",
        "[[ a ]]",
        "((a))",
        "coproc a",
        "echo ${a:-b}",
        "echo $((1))",
        "a=(1)",
        "cat <<E\nE",
        "while a; do b; done",
        "case a in a) b;; esac",
        "",
        "# only words",
    ],
)
def test_only_simple_commands_in_a_row_are_plain(text: str) -> None:
    assert not read(text).plain


@pytest.mark.parametrize(
    "text",
    [
        "ls",
        "ls; id;",
        "ls # why",
        "a | b && c || d",
        "! a",
        "time a",
        "a 2>&1 >/dev/null",
        "a $HOME ~/x *.py",
        "A=1 a",
        "a <<< b",
        "\n\na\n\nb\n",
        "# why\nls",
        "a |\n b",
        "echo é",
    ],
)
def test_simple_commands_in_a_row_are_plain(text: str) -> None:
    script = read(text)
    assert script.plain
    assert not script.fault


@pytest.mark.parametrize(
    ("word", "glob"),
    [
        ("$x", False),
        ('"$x"', False),
        ("${x}", False),
        ("~", False),
        ("~/x", False),
        ("a=~", False),
        ("a:~", False),
        ("{a,b}", False),
        ("{1..3}", False),
        ("$(x)", False),
        ("`x`", False),
        ("<(x)", False),
        ("$((1))", False),
        ("*", True),
        ("*.py", True),
        ("a?", True),
        ("[ab]", True),
        ("$x*", False),
    ],
)
def test_what_bash_changes_is_not_literal_and_stands_as_written(word: str, glob: bool) -> None:
    got = read(f"a {word}").parts[0].words[1]
    assert (got.text, got.literal, got.glob) == (word, False, glob)


def test_redirections_keep_their_descriptors_and_targets() -> None:
    part = read("a >f 2>>'g h' 3<&0 &>i <j {fd}>|k <>$l <<<\"m n\"").parts[0]
    found = [(one.operator, one.target.text, one.target.literal) for one in part.redirects]
    assert found == [
        (">", "f", True),
        ("2>>", "g h", True),
        ("3<&", "0", True),
        ("&>", "i", True),
        ("<", "j", True),
        ("{fd}>|", "k", True),
        ("<>", "$l", False),
        ("<<<", "m n", True),
    ]
    assert part.argv == ("a",)


def test_the_redirection_of_a_group_is_a_part() -> None:
    parts = read("{ a; } > /dev/tcp/h/80").parts
    assert [(part.argv, [one.target.text for one in part.redirects]) for part in parts] == [(("a",), []), ((), ["/dev/tcp/h/80"])]


def test_a_here_document_is_the_target_of_its_redirection() -> None:
    quoted, open_ = read("cat <<'E'\n$x `y`\nE\n").parts[0], read("cat <<-E\n\t$x\n\tE\n").parts[0]
    assert (quoted.redirects[0].target.text, quoted.redirects[0].target.literal) == ("$x `y`\n", True)
    assert (open_.redirects[0].target.text, open_.redirects[0].target.literal) == ("$x\n", False)


def test_what_is_set_is_named() -> None:
    assert [part.assigns for part in read("A=1 B+=2 ls; C=3; D[1]=x").parts] == [("A", "B"), ("C",), ("D",)]


def test_what_another_part_runs_is_wrapped() -> None:
    assert [(part.argv[0], part.wrapped) for part in read("echo $(a | b) `c`; (d)").parts] == [
        ("echo", False),
        ("a", True),
        ("b", True),
        ("c", True),
        ("d", False),
    ]


@settings(max_examples=300, deadline=None)
@given(st.text("ab \n;|&()<>${}\\'\"`#=![]*~E-", max_size=60))
def test_any_text_can_be_read(text: str) -> None:
    script = read(text)
    assert script.text == text
    assert not (script.plain and script.fault)


@pytest.mark.parametrize(
    "text", ["(" * 6000, "$(" * 6000, "`" * 6001, "if " * 6000, "a=(" * 6000, '"$(' * 6000, "<" * 6000, "{" * 6000, "a;'" * 6000]
)
def test_hostile_texts_are_read_in_time(text: str) -> None:
    began = time.process_time()
    assert read(text).fault
    assert time.process_time() - began < 5


@pytest.mark.parametrize("text", ["{," * 3000, "{," * 50_000, "{}" * 4000 + ",}", "a{b..c" * 1300])
def test_many_braces_are_read_at_once(text: str) -> None:
    began = time.process_time()
    read(text)
    assert time.process_time() - began < 3


def test_no_character_takes_the_program_down_with_the_parser() -> None:
    """The parser's scanner reads out of bounds by what is far from ASCII: another program is asked here."""
    code = (
        "from agent.command.script import read\n"
        "for number in range(0x80, 0x110000, 0x3FD):\n"
        "    read('{' + chr(number)); read('${x' + chr(number) + '<<' + chr(number))\n"
        "for size in range(40):\n"
        "    read('{\\U0010fffd' + ' ' * size)\n"
        "print('unharmed')"
    )
    root = Path(__file__).parent.parent
    ended = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout) == (0, "unharmed\n"), ended.stderr


@pytest.mark.parametrize(
    "text", ["echo é", "cat données.txt | sort", "grep 'ü' \"ß\" 中文", "cat <<é\nx\né", "echo {é,x} > ñ", "ls 🎉"]
)
def test_letters_of_all_languages_are_letters(text: str) -> None:
    script = read(text)
    assert not script.fault
    assert [word for part in script.parts for word in part.argv] == [
        word.strip("'\"") for word in text.partition("\n")[0].split() if word not in {"|", ">", "ñ", "<<é"}
    ]
