"""What commands do, and that nothing of them is left."""

import asyncio
import itertools
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from agent.errors import ToolFailure
from agent.workspace.output import Fresh, Spill
from agent.workspace.shell import Shell
from tests.runs import ended_all, is_running

linux = pytest.mark.skipif(sys.platform != "linux", reason="other systems have no /proc and no subreaper")
ROOT = Path(__file__).parents[1]


def quiet(text: str) -> None:
    """Hear nothing."""


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        for pause in itertools.repeat(0.005):
            if true():
                return
            await asyncio.sleep(pause)


class Heard:
    """Collects what a background process printed."""

    def __init__(self, shell: Shell) -> None:
        self._shell = shell
        self.text = ""

    def has(self, words: str) -> bool:
        self.text += self._shell.output("bg1")
        return words in self.text


def start(*command: str, **environment: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(command, start_new_session=True, env=os.environ | environment)


def children() -> list[int]:
    return [int(pid) for pid in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()]


@pytest.fixture
async def shell(tmp_path: Path) -> AsyncIterator[Shell]:
    made = Shell(tmp_path, os.environ, tmp_path / "spills")
    yield made
    await made.close()


async def test_a_command_gives_both_streams_its_code_and_its_time(shell: Shell, tmp_path: Path) -> None:
    told: list[str] = []
    ended = await shell.run("pwd; echo wrong >&2; exit 3", 10, told.append)
    assert (ended.output, ended.exit_code) == (f"{tmp_path.resolve()}\nwrong\n", 3)
    assert "".join(told) == ended.output
    assert (ended.timed_out, ended.omitted, ended.spill, ended.leftovers) == (False, 0, None, 0)
    assert 0 < ended.seconds < 10


async def test_standard_input_is_closed(shell: Shell) -> None:
    assert (await shell.run("cat; read -r x || echo nothing", 10, quiet)).output == "nothing\n"


async def test_a_signal_shows_in_the_exit_code(shell: Shell) -> None:
    assert (await shell.run("kill -KILL $$", 10, quiet)).exit_code == 137


async def test_each_command_starts_afresh(shell: Shell, tmp_path: Path) -> None:
    await shell.run("mkdir sub; cd sub; X=1; export X", 10, quiet)
    assert (await shell.run('basename "$PWD"; echo "[$X]"', 10, quiet)).output == f"{tmp_path.name}\n[]\n"


async def test_a_timeout_ends_all_and_keeps_what_was_printed(shell: Shell, tmp_path: Path) -> None:
    ended = await shell.run("echo begun; trap '' TERM; sleep 1000 & echo $! > pid; wait; sleep 1000", 1, quiet)
    assert ended.timed_out
    assert ended.output == "begun\n"
    assert ended.exit_code == 137
    assert ended.seconds < 5
    assert await ended_all(int((tmp_path / "pid").read_text()))


async def test_a_program_has_a_moment_to_clean_up(tmp_path: Path) -> None:
    shell = Shell(tmp_path, os.environ, tmp_path / "spills", grace=20)  # as long as a busy machine may take
    command = "(trap 'echo clean > mark; exit' TERM; touch ready; sleep 1000 & wait) & wait"
    task = asyncio.create_task(shell.run(command, 100, quiet))
    await until((tmp_path / "ready").exists)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await shell.close()
    assert (tmp_path / "mark").read_text() == "clean\n"


HARD_TO_END = """
trap '' TERM
sleep 1000 & echo $! >> pids
setsid sleep 1000 & echo $! >> pids
(setsid env -i /bin/sh -c 'trap "" TERM; echo $$ >> pids; sleep 1000' &)
until [ $(wc -l < pids) = 3 ]; do sleep 0.01; done
touch ready
sleep 1000
"""


@linux
async def test_cancelling_ends_everything_within_200_ms(shell: Shell, tmp_path: Path) -> None:
    took: list[float] = []
    while not took or (took[-1] >= 0.2 and len(took) < 10):  # the processor may be with somebody else, but not always
        task = asyncio.create_task(shell.run(f"rm -f pids{HARD_TO_END}", 100, quiet))
        await until((tmp_path / "ready").exists)
        began = time.monotonic()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        took.append(time.monotonic() - began)
        pids = [int(pid) for pid in (tmp_path / "pids").read_text().split()]
        assert len(pids) == 3
        assert await ended_all(*pids)
        (tmp_path / "ready").unlink()
    assert min(took) < 0.2, took


@linux
async def test_cancelling_twice_leaves_nothing_either(shell: Shell, tmp_path: Path) -> None:
    task = asyncio.create_task(shell.run(HARD_TO_END, 100, quiet))
    await until((tmp_path / "ready").exists)
    task.cancel()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await ended_all(*map(int, (tmp_path / "pids").read_text().split()))


async def test_a_child_that_keeps_the_pipe_open_does_not_hang_the_command(shell: Shell, tmp_path: Path) -> None:
    ended = await shell.run("sleep 1000 & echo $! > pid; echo over", 100, quiet)
    assert (ended.output, ended.exit_code, ended.leftovers, ended.timed_out) == ("over\n", 0, 1, False)
    assert ended.seconds < 5
    assert await ended_all(int((tmp_path / "pid").read_text()))


@linux
async def test_what_leaves_its_group_and_its_environment_is_ended_and_counted(shell: Shell, tmp_path: Path) -> None:
    command = "(setsid env -i sleep 1000 >/dev/null 2>&1 & echo $! > pid); sleep 1000 >/dev/null 2>&1 & true"
    ended = await shell.run(command, 100, quiet)
    assert ended.leftovers == 2
    assert await ended_all(int((tmp_path / "pid").read_text()))


@linux
async def test_children_of_others_are_left_alone(shell: Shell) -> None:
    await shell.run("true", 10, quiet)
    with start("sleep", "1000") as stranger:
        await shell.run("sleep 1000 & true", 10, quiet)
        assert stranger.poll() is None
        stranger.kill()


@linux
async def test_a_command_leaves_what_another_started(shell: Shell) -> None:
    await shell.start("(setsid sleep 1000 & echo $!); sleep 1000")
    heard = Heard(shell)
    await until(lambda: heard.has("\n"))
    orphan = int(heard.text)
    assert (await shell.run("true", 10, quiet)).leftovers == 0
    assert is_running(orphan)
    assert not (await shell.kill("bg1")).running
    assert await ended_all(orphan)


@linux
async def test_a_hundred_commands_leave_no_file_and_no_child(shell: Shell) -> None:
    await shell.run("true", 10, quiet)
    files = len(list(Path("/proc/self/fd").iterdir()))
    before = children()
    for number in range(100):
        await shell.run("(true &) ; sleep 0.001 & echo x" if number % 10 == 0 else "true", 10, quiet)
    assert len(list(Path("/proc/self/fd").iterdir())) == files
    await shell.run("true", 10, quiet)
    assert children() == before


@linux
async def test_commands_inherit_no_open_file(shell: Shell) -> None:
    await shell.run("true", 10, quiet)
    await shell.start("sleep 1000")
    assert (await shell.run("ls /proc/self/fd", 10, quiet)).output.split() == ["0", "1", "2", "3"]  # 3 is ls's own


async def test_long_output_shows_both_ends_and_keeps_all_in_a_private_file(shell: Shell) -> None:
    ended = await shell.run("seq 1 200000", 10, quiet)
    whole = "".join(f"{number}\n" for number in range(1, 200001))
    assert ended.output.startswith("1\n2\n3\n")
    assert ended.output.endswith("\n199999\n200000\n")
    assert len(ended.output) < 33_000
    assert ended.spill is not None
    assert ended.spill.read_text() == whole
    assert ended.spill.stat().st_mode & 0o777 == 0o600
    shown = [line for line in ended.output.splitlines(keepends=True) if not line.startswith("[")]
    assert ended.omitted == len(whole) - len("".join(shown))
    assert f"[… {ended.omitted} bytes left out …]\n" in ended.output


async def test_output_a_little_too_long_is_kept_too(shell: Shell) -> None:
    ended = await shell.run("seq 1 9000", 10, quiet)
    assert ended.spill is not None
    assert ended.spill.read_text() == "".join(f"{number}\n" for number in range(1, 9001))


async def test_the_file_that_keeps_all_is_capped_and_the_command_goes_on(shell: Shell) -> None:
    ended = await shell.run("head -c 80000000 /dev/zero | tr '\\0' x; echo; echo end", 30, quiet)
    assert ended.exit_code == 0
    assert ended.output.endswith("end\n")
    assert ended.spill is not None
    assert ended.spill.stat().st_size == 64 << 20
    assert len(ended.output) < 6000


async def test_a_folder_that_takes_no_file_costs_the_file_alone(tmp_path: Path) -> None:
    (tmp_path / "spills").write_text("in the way")
    shell = Shell(tmp_path, os.environ, tmp_path / "spills")
    ended = await shell.run("seq 1 100000", 10, quiet)
    await shell.close()
    assert ended.exit_code == 0
    assert ended.spill is None
    assert ended.omitted > 0


async def test_a_long_line_is_cut_in_its_middle(shell: Shell) -> None:
    ended = await shell.run("printf 'a%.0s' $(seq 5000); echo z", 10, quiet)
    assert ended.output == f"{'a' * 1800}[… 3002 characters …]{'a' * 198}z\n"
    assert ended.spill is not None
    assert ended.spill.read_text() == "a" * 5000 + "z\n"


async def test_a_progress_bar_shows_its_last_state(shell: Shell) -> None:
    ended = await shell.run(
        r"echo before; for n in $(seq 20000); do printf '\r%s %%' $n; done; echo; printf 'dos\r\n'", 10, quiet
    )
    assert ended.output == "before\n20000 %\ndos\n"
    assert ended.omitted == 0


async def test_colours_are_left_out(shell: Shell) -> None:
    assert (await shell.run(r"printf '\033[1;31mred\033[0m\033[K\n'", 10, quiet)).output == "red\n"


async def test_characters_that_come_in_pieces_are_told_whole(shell: Shell) -> None:
    told: list[str] = []
    ended = await shell.run(r"printf '\xe6\x89'; sleep 0.1; printf '\x93'; sleep 0.1; printf '\xe6'", 10, told.append)
    assert "".join(told) == ended.output == "打\ufffd"


async def test_binary_output_is_named_and_not_shown(shell: Shell) -> None:
    ended = await shell.run("head -c 5000 /dev/zero", 10, quiet)
    assert ended.output == "[binary output]\n"
    assert ended.omitted == 5000
    assert ended.spill is not None


async def test_the_environment_is_what_the_list_lets_pass(tmp_path: Path) -> None:
    person = {
        "PATH": f"node_modules/.bin::.:{os.environ['PATH']}",
        "HOME": "/home/x",
        "LC_ALL": "C.UTF-8",
        "PYTHONPATH": "lib",
        "LC_SECRET": "s1",
        "MOONSHOT_API_KEY": "s2",
        "BASH_ENV": "evil.sh",
        "LD_PRELOAD": "evil.so",
        "HTTPS_PROXY": "http://user:s3@proxy",
        "HTTP_PROXY": "http://proxy",
        "TERM": "xterm",
    }
    shell = Shell(tmp_path, person, tmp_path / "spills")
    lines = (await shell.run("env", 10, quiet)).output.splitlines()
    await shell.close()
    seen = dict(line.split("=", 1) for line in lines)
    assert seen["PATH"] == os.environ["PATH"]
    kept = {"HOME": "/home/x", "LC_ALL": "C.UTF-8", "PYTHONPATH": "lib", "HTTP_PROXY": "http://proxy"}
    assert kept.items() <= seen.items()
    assert {"TERM": "dumb", "NO_COLOR": "1", "CI": "1", "PAGER": "cat", "GIT_TERMINAL_PROMPT": "0"}.items() <= seen.items()
    assert not {"LC_SECRET", "MOONSHOT_API_KEY", "BASH_ENV", "LD_PRELOAD", "HTTPS_PROXY"} & seen.keys()


async def test_what_cannot_be_started_says_why(shell: Shell, tmp_path: Path) -> None:
    with pytest.raises(ToolFailure, match="too long"):
        await shell.run("x" * 3_000_000, 10, quiet)
    with pytest.raises(ToolFailure, match="null"):
        await shell.run("echo \0", 10, quiet)
    away = tmp_path / "away"
    away.mkdir()
    elsewhere = Shell(away, os.environ, tmp_path / "spills")
    away.rmdir()
    with pytest.raises(ToolFailure, match="no folder any more"):
        await elsewhere.run("true", 10, quiet)
    await elsewhere.close()


async def test_a_background_process_is_listed_looked_at_and_killed(shell: Shell, tmp_path: Path) -> None:
    begun = await shell.start("echo one; until [ -e go ]; do sleep 0.01; done; echo two; sleep 1000")
    assert (begun.id, begun.running, begun.exit_code) == ("bg1", True, None)
    heard = Heard(shell)
    await until(lambda: heard.has("one\n"))
    assert shell.output("bg1") == ""
    (tmp_path / "go").touch()
    await until(lambda: heard.has("two\n"))
    assert heard.text == "one\ntwo\n"
    assert [one.running for one in shell.background()] == [True]
    ended = await shell.kill("bg1")
    assert ended.running is False
    assert ended.exit_code in {143, 137}  # on a busy machine it is ended before it could end itself
    assert await shell.kill("bg1") == ended
    assert shell.background() == [ended]


async def test_a_background_process_that_ends_tells_its_code_and_its_last_words(shell: Shell) -> None:
    await shell.start("echo last; exit 5")
    await until(lambda: not shell.background()[0].running)
    assert shell.background()[0].exit_code == 5
    assert shell.output("bg1") == "last\n"
    assert (await shell.start("true")).id == "bg2"


async def test_a_talkative_background_process_keeps_its_end_and_names_the_file(shell: Shell) -> None:
    await shell.start("seq 1 100000")
    await until(lambda: not shell.background()[0].running)
    text = shell.output("bg1")
    assert "\n100000\n" in text
    assert len(text) < 34_000
    path = Path(text.rpartition("all of it: ")[2].rstrip("]"))
    assert path.read_text() == "".join(f"{number}\n" for number in range(1, 100001))


def test_a_character_that_two_looks_share_is_told_whole(tmp_path: Path) -> None:
    fresh = Fresh(Spill(tmp_path))
    fresh.add("打字".encode()[:4])
    assert fresh.take() == "打"
    assert fresh.take() == ""
    fresh.add("字".encode()[1:] + b"\xe6")
    assert fresh.take() == "字"
    fresh.close()
    assert fresh.take() == "\ufffd"
    assert fresh.take() == ""


def test_a_look_at_binary_output_names_it_and_the_next_look_is_fresh(tmp_path: Path) -> None:
    fresh = Fresh(Spill(tmp_path))
    fresh.add(b"\0\1\2\xe6" * 1000)
    assert fresh.take().startswith("[binary output]\n\n[4000 bytes left out; all of it: ")
    fresh.add(b"text\n")
    assert fresh.take() == "text\n"
    fresh.close()


async def test_an_unknown_background_process_is_a_failure_that_names_the_known(shell: Shell) -> None:
    with pytest.raises(ToolFailure, match="none was started"):
        shell.output("bg7")
    await shell.start("true")
    with pytest.raises(ToolFailure, match="there is: bg1"):
        await shell.kill("bg7")


@linux
async def test_closing_ends_all_and_can_be_repeated(shell: Shell) -> None:
    before = children()
    await shell.start("sleep 1000")
    await shell.start("trap '' TERM; setsid sleep 1000 & sleep 1000")
    await shell.close()
    assert children() == before
    assert not any(one.running for one in shell.background())
    await shell.close()


ORPHANED = """
import asyncio, os, sys
from pathlib import Path
from agent.workspace.shell import Shell
from tests.runs import ended_all, is_running

async def main():
    here = Path(sys.argv[1])
    shell = Shell(here, os.environ, here / "spills")
    await shell.run("true", 10, lambda text: None)
    if sys.argv[2] == "unguarded":
        os.kill(shell._guard.pid, 9)
        os.waitpid(shell._guard.pid, 0)
    await shell.run(Path(sys.argv[1], "command").read_text(), 1000, lambda text: None)

asyncio.run(main())
"""


@linux
@pytest.mark.parametrize("guard", ["guarded", "unguarded"])
async def test_when_we_are_killed_our_commands_die_too(tmp_path: Path, guard: str) -> None:
    (tmp_path / "command").write_text(HARD_TO_END)
    with start(sys.executable, "-c", ORPHANED, str(tmp_path), guard, PYTHONPATH=str(ROOT)) as jumar:
        await until((tmp_path / "ready").exists)
        pids = [int(pid) for pid in (tmp_path / "pids").read_text().split()]
        assert all(map(is_running, pids))
        jumar.kill()
        jumar.wait()
    assert len(pids) == 3
    assert await ended_all(*pids)


def test_importing_has_no_effect() -> None:
    code = "import os, agent.workspace.shell; print(open(f'/proc/self/task/{os.getpid()}/children').read())"
    if sys.platform == "linux":
        out = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
        assert out.stdout == "\n"
