"""The difference of two texts, as `git apply` takes it."""

import subprocess
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent.code.diff import diff

lines = st.lists(st.sampled_from("abcd"), max_size=14).map("\n".join)
texts = st.tuples(lines, st.sampled_from(["", "\n"])).map("".join)


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(texts, texts)
def test_applying_a_diff_gives_the_other_text(tmp_path: Path, before: str, after: str) -> None:
    block = diff("f", before, after)
    if before == after:
        assert block.diff == ""
        return
    (tmp_path / "f").write_text(before)
    patch = f"--- a/f\n+++ b/f\n{block.diff}\n"
    applied = subprocess.run(["git", "apply", "--unidiff-zero", "-"], cwd=tmp_path, input=patch.encode(), capture_output=True)
    assert applied.returncode == 0, applied.stderr
    assert (tmp_path / "f").read_text() == after if after else not (tmp_path / "f").exists() or not (tmp_path / "f").read_text()
    told = block.diff.split("\n")
    assert block.added == sum(line.startswith("+") for line in told)
    assert block.removed == sum(line.startswith("-") for line in told)


def test_only_what_differs_is_told() -> None:
    before = "".join(f"a{number}\n}}\n" for number in range(2000))
    after = before.replace("a10\n", "b10\n").replace("a1500\n", "")
    block = diff("f", before, after)
    assert (block.added, block.removed) == (1, 2)
    assert block.diff.count("@@ ") == 2


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("".join(f"a {number}\n" for number in range(50_000)), "".join(f"b {number}\n" for number in range(50_000))),
        ("".join(f"a{number}\n}}\n" for number in range(3000)), "".join(f"b{number}\n}}\n" for number in range(3000))),
        ("}\n" * 3000, "{\n}\n" * 3000),
    ],
)
def test_large_differences_are_told_at_once(before: str, after: str) -> None:
    began = time.process_time()
    assert diff("f", before, after).diff.startswith("@@ -")
    assert time.process_time() - began < 5
    assert diff("f", before, before + "end\n").added == 1
