"""The difference of two texts, as `git apply` takes it."""

import subprocess
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent.code.diff import diff

lines = st.lists(st.sampled_from("abcd"), max_size=14).map("\n".join)
texts = st.tuples(lines, st.sampled_from(["", "\n"])).map("".join)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
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


def test_a_large_difference_is_told_at_once() -> None:
    before = "".join(f"a {number}\n" for number in range(50_000))
    after = before.replace("a 2", "b 2")
    block = diff("f", before, after)
    assert block.diff.startswith("@@ -1,")
    assert diff("f", before, before + "end\n").diff == "@@ -49998,3 +49998,4 @@\n a 49997\n a 49998\n a 49999\n+end"
