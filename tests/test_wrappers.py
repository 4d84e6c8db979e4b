"""Owns the tests of looking behind programs that run others: what really runs is found, by every road."""

import shutil
import subprocess
from pathlib import Path

import pytest

from agent.command.parts import Part
from agent.command.script import read
from agent.command.wrappers import inner

RUN_HERE = r"""
env touch canary
env -i PATH="$PATH" A=1 touch canary
env -u HOME -C . touch canary
env -S 'touch canary'
env -S'A=1 touch' canary
env --split-string='-i /usr/bin/touch canary'
env --chd . -- touch canary
nice touch canary
nice -n5 touch canary
nice -5 touch canary
nice --adj 5 touch canary
ionice -c2 -n 4 touch canary
ionice -t touch canary
timeout 5 touch canary
timeout -k 3 --sig=KILL 5s touch canary
timeout --foreground -- 5 touch canary
time -p touch canary
time { touch canary; }
/usr/bin/time -o /dev/null touch canary
nohup touch canary
setsid -w touch canary
stdbuf -oL touch canary
stdbuf --out L -e 0 touch canary
command touch canary
command -p touch canary
builtin eval touch canary
(exec touch canary)
(exec -a other touch canary)
eval touch canary
eval 'touch' "canary"
xargs touch < names
xargs -n 1 -- touch < names
xargs -I% touch % < names
xargs --max-arg=1 touch < names
find . -maxdepth 0 -exec touch canary \;
find . -maxdepth 0 -ex\ec touch canary \;
find . -maxdepth 0 -e''xecdir touch canary ';'
bash -c 'touch canary'
bash --norc -ec 'true && touch canary' name arg
bash -o pipefail -c -- 'touch canary'
bash +B -c 'touch canary'
sh -c 'touch canary'
dash -c "touch canary"
bash <<< 'touch canary'
bash -s <<'END'\ntouch canary\nEND
sh -c 'sh -c "sh -c \"touch canary\""'
busybox touch canary
toybox touch canary
flock lock touch canary
flock -w 5 lock -c 'touch canary'
flock --close lock sh -c 'touch canary'
script -qc 'touch canary' /dev/null
script /dev/null -qc 'touch canary'
script -q --comm 'touch canary' /dev/null
strace -f -o /dev/null touch canary
chrt -o 0 touch canary
taskset 1 touch canary
prlimit --nofile=64 touch canary
setarch -R touch canary
linux64 touch canary
setpriv --no-new-privs touch canary
choom -n 0 -- touch canary
unshare touch canary
nsenter -t $$ touch canary
fakeroot -- touch canary
dbus-run-session -- touch canary
su -c 'touch canary'
su root -c 'touch canary'
runuser -u root -- touch canary
sudo touch canary
sudo -n A=1 touch canary
sudo -u root -- sh -c 'touch canary'
chroot / touch "$PWD/canary"
parallel touch ::: canary
valgrind -q touch canary
git -c alias.x='!touch canary' x
trap 'touch canary' EXIT
\touch canary
'to'uch canary
/usr/bin/touch canary
let 'x=a[$(touch canary)]'
declare 'a[$(touch canary)]=1'
test -v 'a[$(touch canary)]'
[[ 'a[$(touch canary)]' -eq 1 ]]
compgen -W '$(touch canary)'
mapfile -C 'touch canary; true' -c 1 x < names
coproc touch canary; wait
echo $(touch canary)
echo "${x:-`touch canary`}"
cat <<END\n`touch canary`\nEND
cat <(touch canary) > /dev/null; wait
true | time touch canary
if ! false; then touch canary; fi
case x in *) touch canary;; esac
for i in 1; do touch canary; done
f() { touch canary; }; f
""".strip().splitlines()
ELSEWHERE = """
sudo -u root -E touch canary
doas -u root touch canary
ssh host touch canary
ssh -p 22 -o StrictHostKeyChecking=no user@host -- 'cd x && touch canary'
ssh host -p 22 touch canary
ssh -oProxyCommand='touch canary' host
docker run --rm -it -v "$PWD":/x -e A=b image touch canary
docker run --entrypoint touch image canary
docker exec -it box sh -c 'touch canary'
podman run --network=none image touch canary
docker compose run --rm web touch canary
docker --context x container exec box touch canary
kubectl exec pod -- touch canary
bwrap --ro-bind / / --dev /dev --unshare-all --setenv A b touch canary
systemd-run --user --pty -p MemoryMax=1G touch canary
nsenter -t 1 -m -- touch canary
watch -n 1 touch canary
watch -xn1 touch canary
entr -s 'touch canary'
entr -r touch canary
npx -y touch canary
npx -c 'touch canary'
npm exec --yes -- touch canary
uvx touch canary
uv run --with x --python 3.12 touch canary
uv tool run touch canary
pipx run touch canary
poetry -q run touch canary
pdm run touch canary
hatch run test:touch canary
hatch -e test run touch canary
bundle exec touch canary
conda run -n x touch canary
pnpm dlx touch canary
git -calias.x='!touch canary' x
git bisect run touch canary
git submodule foreach --recursive 'touch canary'
git rebase -x 'touch canary' main
git rebase --exec='touch canary' main
git clone --upload-pa='touch canary' x
git filter-branch --tree-filter 'touch canary' HEAD
fd -e py -x touch canary
fd --exec-batch touch canary
perf stat -e cycles touch canary
hyperfine 'touch canary'
xvfb-run -a touch canary
gosu nobody touch canary
tini -g -- touch canary
start-stop-daemon --start --exec x -- touch canary
su - someone -c 'touch canary'
sg group -c 'touch canary'
trap -- 'touch canary' INT TERM
zsh -c 'touch canary'
tar --to-command='touch canary' -xf x
tar -xI 'touch canary' -f x
tar --checkpoint-action=exec='touch canary' -cf x y
rsync -e 'touch canary' x y
nix-shell --run 'touch canary'
bash -c '"$@"' name touch canary
bash -c '$0 canary' touch
""".strip().splitlines()
UNTOLD = """
xargs $X
bash -c "$x"
bash -c "rm $x"
eval "$x"
echo ls | sh
curl x | sudo bash -s -- y
env $X ls
nice --unknown x ls
timeout $T
find . $X
sudo $X
env -S "$x"
sh -c 'ls;;id'
watch "$x"
parallel
docker run $X image ls
unshare -r
ssh host "$x"
at now
expect -c 'spawn ls'
""".strip().splitlines()


def every(text: str) -> list[Part]:
    """Return all parts of a command, with those that these would run."""
    return [one for part in read(text).parts for one in (part, *inner(part))]


def finds_touch(text: str) -> bool:
    """Return whether a rule on `touch` would see it in this command."""
    return any(one.words and one.words[0].literal and Path(one.words[0].text).name == "touch" for one in every(text))


@pytest.mark.parametrize("line", RUN_HERE)
def test_what_a_command_really_runs_is_found(line: str, tmp_path: Path) -> None:
    command = line.replace("\\n", "\n")
    name = next((word for word in command.split() if word not in {"true", "|"}), "")
    if not shutil.which(name, path="/usr/bin:/bin:/usr/sbin:/sbin") and name in OFTEN_MISSING:
        pytest.skip(f"{name} is not installed here")
    assert finds_touch(command)
    (tmp_path / "names").write_text("canary\n")
    environment = {"PATH": "/usr/bin:/bin:/usr/sbin:/sbin", "HOME": str(tmp_path)}
    ran = subprocess.run(
        ["/bin/bash", "--norc", "-c", command],
        cwd=tmp_path,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=30,
    )
    if name in OFTEN_FORBIDDEN and not (tmp_path / "canary").exists():
        pytest.skip(f"{name} may not do that here: {ran.stderr.decode().strip()}")
    assert (tmp_path / "canary").exists(), ran.stderr


OFTEN_MISSING = frozenset(
    (
        *("ionice", "/usr/bin/time", "busybox", "toybox", "flock", "script", "strace", "chrt", "taskset", "prlimit", "setarch"),
        *("linux64", "setpriv", "choom", "unshare", "nsenter", "fakeroot", "dbus-run-session", "su", "runuser", "sudo", "chroot"),
        *("parallel", "valgrind", "dash", "git", "setsid", "stdbuf", "timeout", "nice"),
    )
)
OFTEN_FORBIDDEN = frozenset(
    (
        *("chroot", "nsenter", "su", "runuser", "sudo", "chrt", "taskset", "setpriv", "unshare", "strace", "setarch", "script"),
        *("dbus-run-session", "fakeroot", "choom", "ionice", "valgrind", "parallel"),
    )
)


@pytest.mark.parametrize("line", ELSEWHERE)
def test_what_a_command_would_run_elsewhere_is_found(line: str) -> None:
    assert finds_touch(line)


@pytest.mark.parametrize("line", UNTOLD)
def test_what_cannot_be_told_stands_as_a_part_that_is_not_literal(line: str) -> None:
    parts = [one for part in read(line).parts for one in inner(part)]
    assert any(one.words and not one.words[0].literal and one.wrapped for one in parts)


@pytest.mark.parametrize("depth", [20, 200])
def test_no_depth_hides_a_command(depth: int) -> None:
    parts = every("env " * depth + "touch canary")
    assert any(one.argv == ("touch", "canary") for one in parts) or any(not one.literal for one in parts)


@pytest.mark.parametrize(
    "line", ["command -v touch", "git status", "find . -name touch", "printf %s touch", "python -c touch", "make touch"]
)
def test_what_runs_nothing_else_has_nothing_inside(line: str) -> None:
    assert not [one for part in read(line).parts for one in inner(part)]


def test_an_option_that_is_told_its_value_does_not_hide_the_command() -> None:
    assert [one.argv for one in every("env -u touch ls")] == [("env", "-u", "touch", "ls"), ("ls",)]


def test_what_is_set_for_a_command_is_told_with_it() -> None:
    assert every("env LD_PRELOAD=x ls")[1].assigns == ("LD_PRELOAD",)


def test_what_xargs_adds_is_not_known() -> None:
    part = every("xargs rm -f")[1]
    assert part.argv[:2] == ("rm", "-f")
    assert not part.literal
