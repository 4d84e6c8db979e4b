"""The log is append-only, private, repaired when opened, and has one writer."""

import json
import resource
import stat
import subprocess
from pathlib import Path

import pytest

from agent.effects import Effect
from agent.errors import UsageError
from agent.events.call import ToolFinished, ToolStarted
from agent.events.conversation import SessionStarted, Steered, TurnStarted
from agent.events.step import ModelAnswered
from agent.log import Log, LogBroken, sessions
from agent.messages import Answer, Call, Prompt, Reply, Usage
from tests.histories import fold, is_valid

STARTED = SessionStarted(version="0", root="/r", cwd="/r", model="m", mode="ask", sandbox="none", tools=("read",))
TURN = TurnStarted(turn=1, prompt="fix it", preface="env")
CALLS = (Call("a", "read", "{}"), Call("b", "shell", "{}"))
ANSWERED = ModelAnswered(step=1, answer=Answer("", CALLS), usage=Usage(1, 2, 0), model="m", seconds=0.1)
EVENTS = (
    STARTED,
    TURN,
    ANSWERED,
    ToolStarted(call_id="b", tool="shell", subject="ls", effect=Effect.EXEC),
    ToolFinished(call_id="b", tool="shell", status="done", reply="two"),
    ToolFinished(call_id="a", tool="read", status="done", reply="one"),
)


def written(folder: Path) -> Path:
    log = Log.create(folder, "s1")
    for event in EVENTS:
        log.append(event)
    log.close()
    return log.path


def test_what_was_written_is_read_back(tmp_path: Path) -> None:
    path = written(tmp_path)
    log, found = Log.open(path)
    log.close()
    assert (found.events, found.faults, log.seq) == (EVENTS, (), len(EVENTS))
    assert [json.loads(line)["seq"] for line in path.read_text().splitlines()] == [1, 2, 3, 4, 5, 6]


def test_the_file_is_private(tmp_path: Path) -> None:
    path = written(tmp_path / "sessions")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_a_log_cut_at_any_byte_opens_with_its_whole_records(tmp_path: Path) -> None:
    whole = written(tmp_path).read_bytes()
    path = tmp_path / "cut.jsonl"
    for end in range(len(whole)):
        path.write_bytes(whole[:end])
        log, found = Log.open(path)
        log.append(TURN)
        log.close()
        kept = whole[:end].count(b"\n")
        assert found.events == EVENTS[:kept]
        assert bool(found.faults) == (not whole[:end].endswith(b"\n") and end > 0)
        assert path.read_bytes().count(b"\n") == kept + 1


def test_a_bad_record_in_the_middle_is_passed_over_and_told(tmp_path: Path) -> None:
    path = written(tmp_path)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(lines[0] + b"\x00garbage\n" + b'{"v":2,"type":"future"}\n' + lines[1])
    log, found = Log.open(path)
    log.close()
    assert found.events == EVENTS[:2]
    assert found.faults == ("session s1: 2 unreadable records were passed over",)
    assert log.seq == 4  # no number is given twice


def test_a_second_writer_is_refused_in_one_line(tmp_path: Path) -> None:
    path = written(tmp_path)
    log, _ = Log.open(path)
    with pytest.raises(UsageError, match="open in another process; add --fork"):
        Log.open(path)
    log.close()


def test_a_session_that_was_closed_can_be_opened_though_a_child_still_holds_its_file(tmp_path: Path) -> None:
    path = written(tmp_path)
    log, _ = Log.open(path)
    with subprocess.Popen(["sleep", "60"], pass_fds=(log._fd,)) as child:  # as each does between its fork and its program
        log.close()
        again, _ = Log.open(path)
        again.close()
        child.kill()


def test_a_link_in_place_of_a_log_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "s2.jsonl").symlink_to(written(tmp_path))
    with pytest.raises(UsageError, match="cannot open session s2"):
        Log.open(tmp_path / "s2.jsonl")


def test_the_list_tells_title_and_state(tmp_path: Path) -> None:
    written(tmp_path)
    (tmp_path / "broken.jsonl").write_bytes(b"\xff\xfe")
    [summary] = sessions(tmp_path)
    assert (summary.id, summary.title, summary.turns, summary.status, summary.model) == ("s1", "fix it", 1, "interrupted", "m")


def test_what_cannot_be_moved_aside_or_copied_stays_where_it_is(tmp_path: Path) -> None:
    path = written(tmp_path)
    torn = path.read_bytes() + b'{"v":1,"se'
    path.write_bytes(torn)
    path.with_suffix(".torn").mkdir()
    for _ in range(2):  # nor does it stay locked
        with pytest.raises(UsageError, match="cannot go on with session s1: Is a directory"):
            Log.open(path)
    assert path.read_bytes() == torn
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20, hard))
    try:
        with pytest.raises(UsageError, match="cannot copy session s1: File too large"):
            Log.fork(path, "s2")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not (tmp_path / "s2.jsonl").exists()


def test_a_session_stays_in_the_list_though_a_record_of_it_is_torn_or_no_record(tmp_path: Path) -> None:
    path = written(tmp_path)
    whole = path.read_bytes()
    later = next(line for line in whole.splitlines(keepends=True) if b'"turn.started"' in line)
    for torn in (later[: len(later) // 2], b'{"v":2,"type":"turn.started"}\n' + later):
        path.write_bytes(whole + torn)
        assert [(summary.id, summary.title) for summary in sessions(tmp_path)] == [("s1", "fix it")]


def test_replies_stand_in_the_order_of_the_calls(tmp_path: Path) -> None:
    messages = fold(EVENTS).messages
    assert messages == [
        Prompt("env\n\n# The person's words\n\nfix it"),
        ANSWERED.answer,
        Reply("a", "read", "one"),
        Reply("b", "shell", "two"),
    ]
    assert is_valid(messages)


def test_open_calls_are_known_and_the_history_is_not_valid_until_they_have_replies(tmp_path: Path) -> None:
    history = fold(EVENTS[:4])
    assert history.unanswered() == CALLS
    assert history.started == {"b"}
    assert not is_valid([*history.messages, Prompt("next")])


def test_a_request_is_valid_though_the_log_could_take_no_reply() -> None:
    history = fold([*EVENTS[:4], Steered(text="wait", step=2)])
    history.deliver()
    assert is_valid(history.messages)
    assert [type(message) for message in history.messages[-3:]] == [Reply, Reply, Prompt]


def test_what_could_not_be_written_whole_is_not_there_at_all(tmp_path: Path) -> None:
    path = written(tmp_path)
    log, _ = Log.open(path)
    whole = path.read_bytes()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(whole) + 20, hard))
    try:
        with pytest.raises(LogBroken, match="No space left"):
            log.append(TURN)
        assert path.read_bytes() == whole
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    log.append(TURN)
    log.close()
    assert Log.open(path)[1].events == (*EVENTS, TURN)


def test_a_fork_goes_on_by_itself_even_from_an_open_session(tmp_path: Path) -> None:
    path = written(tmp_path)
    first, _ = Log.open(path)
    log, found = Log.fork(path, "s2")
    log.append(TURN)
    log.close()
    first.close()
    assert found.events == EVENTS
    assert path.read_bytes().count(b"\n") == len(EVENTS)
    assert {json.loads(line)["session_id"] for line in log.path.read_text().splitlines()} == {"s2"}
