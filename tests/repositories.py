"""Owns what tests need of git repositories: real ones, and hostile ones."""

import hashlib
import os
import subprocess
from pathlib import Path


def git(folder: Path, *arguments: str) -> str:
    words = ("-c", "user.name=A", "-c", "user.email=a@b", "-c", "init.defaultBranch=main", "-c", "init.templateDir=", *arguments)
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "GIT_CONFIG_NOSYSTEM": "1"}
    return subprocess.run(["git", *words], cwd=folder, env=environment, check=True, capture_output=True, text=True).stdout


def repository(root: Path) -> Path:
    root.mkdir(parents=True)
    git(root, "init", "-q")
    (root / "a.txt").write_text("one\n")
    git(root, "add", ".")
    git(root, "commit", "-qm", "first")
    return root


def hostile(root: Path, marker: Path) -> None:
    """Have the repository's settings run a program at every place where git lets them."""
    script = root.parent / "script"
    script.write_text(f'#!/bin/sh\necho "$0 $*" >> "{marker}"\ncat\n')
    script.chmod(0o755)
    hooks = root / ".git" / "hooks"
    hooks.mkdir(exist_ok=True)
    for name in ("post-index-change", "reference-transaction", "pre-commit", "post-checkout"):
        (hooks / name).write_bytes(script.read_bytes())
        (hooks / name).chmod(0o755)
    for key in (
        "core.fsmonitor",
        "core.pager",
        "core.editor",
        "core.sshCommand",
        "core.askPass",
        "core.alternateRefsCommand",
        "diff.external",
        "diff.d.command",
        "diff.d.textconv",
        "filter.f.clean",
        "filter.f.smudge",
        "filter.a=b.clean",
        "filter.x.y.process",
        "gpg.program",
        "credential.helper",
    ):
        git(root, "config", key, str(script))
    git(root, "config", "alias.status", f"!{script}")
    git(root, "config", "filter.f.required", "true")
    included = root.parent / "included"
    included.write_text(f'[filter "included"]\n\tclean = {script}\n')
    git(root, "config", "includeIf.gitdir:**.path", str(included))
    (root / ".git" / "info").mkdir(exist_ok=True)
    (root / ".git" / "info" / "attributes").write_text("a.txt filter=f diff=d\nb.txt filter=included\n")
    (root / ".gitattributes").write_text("* filter=a=b diff=d\n*.x filter=x.y\n")


def digests(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
