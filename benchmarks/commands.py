"""Owns the cost of judging commands: read, weighed, held against rules and the policy. `python benchmarks/commands.py`."""

import time
from pathlib import Path

from agent.command.script import read
from agent.command.weigh import weigh
from agent.effects import Effect
from agent.policy import Ground, Mode, judge
from agent.rules import Decision, Question, Rule
from agent.workspace.paths import Paths

RUNS = 400
GOAL = 1000  # microseconds, 99 of 100, for the whole of judging a command of at most 200 characters
HERE = Path(__file__).parent.parent
RULES = tuple(
    Rule.read(f"shell({text})", Decision.DENY, "a rule") for text in ("git push --force *", "rm -rf *", "npm publish *")
)
GROUND = Ground(sandbox=True, kept=True)
COMMANDS = (
    "ls -la",
    "git status --porcelain && git diff --stat HEAD~1",
    "cd src && rg -n 'def read' --type py | head -20",
    "sed -n '120,180p' agent/command/script.py",
    "python -m pytest -q tests/test_script.py -k 'quoted and not slow' 2>&1 | tail -15",
    "find . -name '*.py' -not -path './.venv/*' -exec grep -l \"TODO\" {} + | sort | uniq -c | sort -rn | head",
    'for f in src/*.ts; do echo "== $f"; wc -l < "$f"; done',
    "timeout 60 env CI=1 FORCE_COLOR=0 bash -c 'npm ci --silent && npm test ' > out.log 2>&1; tail -3 out.log",
    'if [ -f pyproject.toml ]; then uv run ruff check . && uv run mypy .; else echo "none: $(pwd)" >&2; fi',
    "cat > notes.md <<'EOF'\n# Notes\n\n- $(not run) and `nor this`\nEOF\ngit add notes.md && git commit -qm 'docs: notes'",
    "grep -rn \"$(basename \"$PWD\")\" --include='*.{md,txt}' . | awk -F: '{print $1}' | xargs -0 -I{} sh -c 'head -1 {}'",
    "echo 'ünïcode — ✓' | tee -a log.txt && printf '%s\\n' \"${HOME:-/root}\" $'a\\tb' && true || false; exit 1",
)


def cost(command: str) -> list[float]:
    """Return the seconds of processor that judging a command took, run by run, the fastest first."""
    paths = Paths(HERE, HERE, spill=HERE / ".spill", add_dirs=(), hidden=(), person=Path.home())
    times = []
    for _ in range(RUNS):
        began = time.thread_time()
        weighed = weigh(command, paths.locate, lambda _: False)
        judge(Mode.AUTO, Question("shell", Effect.EXEC, command, command=weighed), RULES, GROUND)
        times.append(time.thread_time() - began)
    return sorted(times)


def main() -> None:
    """Print the cost of each command, and of all."""
    read("true")  # loads the parser
    every: list[float] = []
    for command in COMMANDS:
        assert len(command) <= 200
        times = cost(command)
        every += times
        shown = command.replace("\n", "\u240a")[:60]
        print(f"{shown:60} p50 {times[RUNS // 2] * 1e6:6.0f} µs   p99 {times[RUNS * 99 // 100] * 1e6:6.0f} µs", flush=True)
    every.sort()
    print(
        f"{'all':60} p50 {every[len(every) // 2] * 1e6:6.0f} µs   p99 {every[len(every) * 99 // 100] * 1e6:6.0f} µs   goal {GOAL}"
    )


if __name__ == "__main__":
    main()
