"""What of a call could not be undone is said beside the question, in one phrase, and nothing of what could be."""

from pathlib import Path

import pytest

from agent.command.losses import losses
from agent.command.weigh import weigh
from agent.workspace.contract import Located
from agent.workspace.paths import Paths
from tests.fakes import ScriptedServer, answer
from tests.runs import Person
from tests.screens import screen_of
from tui.words import catalogue

TOLD = """
git push                                    commits that it publishes, once others have fetched them
git push --force                            commits at the other repository that it pushes over
git push -f origin HEAD:main                commits at the other repository that it pushes over
git push origin +main                       commits at the other repository that it pushes over
git push --force-with-lease                 commits at the other repository that it pushes over
git push origin --delete feat               branches and tags that it deletes at the other repository
git push origin :feat                       branches and tags that it deletes at the other repository
make test && git push --force               commits at the other repository that it pushes over
git gc --prune=now                          commits that no branch and no tag leads to
git reflog expire --expire=now --all        commits that no branch and no tag leads to
git clean -fdx                              files that git ignores, which the ledger does not keep
git worktree remove --force wt              changes in that work tree that are not committed
git config core.hooksPath x                 what git's settings say now
curl -X POST https://x.dev                  what it sends, and what is done with it there
curl -XPUT https://x.dev                    what it sends, and what is done with it there
curl -d @in.txt https://x.dev               what it sends, and what is done with it there
curl --request DELETE https://x.dev/1       what it deletes there
http POST x.dev a=1                         what it sends, and what is done with it there
bash -c 'curl -T in.txt https://x.dev'      what it sends, and what is done with it there
rm -rf ../other                             what {outside}/other holds now
rm -rf /srv/x                               what /srv/x holds now
echo x >> ~/.bashrc                         what it changes at {person}/.bashrc
echo x > ~/.bashrc                          what {person}/.bashrc holds now
sudo rm -rf /srv/x                          without the sandbox, what it changes outside the workspace | what /srv/x holds now
rm -rf build                                what build holds now
cd build && rm x.o                          what build/x.o holds now
npm publish                                 what it publishes, once others have fetched it
cargo publish                               what it publishes, once others have fetched it
twine upload dist/x                         what it publishes, once others have fetched it
docker rm box                               containers, and what was written in them
docker volume rm v                          volumes, and what they hold
docker compose down -v                      volumes, and what they hold
docker rmi image                            images that nobody can fetch again
docker push x/y                             what it publishes, once others have fetched it
kubectl delete pod x                        what it deletes in the cluster
kubectl apply -f x.yml                      what it changes in the cluster
helm uninstall x                            what it deletes in the cluster
gh pr merge 7                               the merge, at the forge
gh repo delete x                            what it deletes at the forge
gh api -X DELETE /x                         what it publishes or changes at the forge
gh pr create                                what it publishes or changes at the forge
psql -c 'drop table x'                      rows and tables that it changes or drops
mysql -e 'DELETE FROM x'                    rows and tables that it changes or drops
redis-cli flushall                          keys that it changes or deletes
terraform destroy                           what it deletes there
aws s3 rm s3://x/y                          what it deletes there
aws ec2 terminate-instances x               what it deletes there
scp in.txt host:/tmp                        what it writes over at either end
ssh host reboot                             what it changes on the other machine | what programs have not saved
mail -s x a@x.dev                           mail, once it is sent
kill 7                                      what the processes have not saved
mkfs.ext4 x.img                             what the disk holds
crontab -r                                  the list of what is run later, as it is now
cat .env                                    that the model's provider knows what .env holds
""".strip().splitlines()
NOTHING = """
pytest -q
rm in.txt
git commit -m x
git reset --hard
curl https://x.dev
pip install x
docker ps
docker logs x
kubectl get pods
gh pr list
gh api /user
psql -c 'select 1'
redis-cli ping
aws s3 ls
git fetch
echo x > .github/workflows/ci.yml
""".strip().splitlines()


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> Paths:
    base = tmp_path_factory.mktemp("losses")
    root, person = base / "ws", base / "ada"
    for name in ("in.txt", ".env", "build/x.o", ".github/workflows/ci.yml"):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x\n")
    person.mkdir()
    return Paths(root, root, spill=base / "spill", add_dirs=(), hidden=(), person=person)


def told(text: str, paths: Paths) -> tuple[str, ...]:
    def unkept(located: Located) -> bool:
        return located.real.is_relative_to(paths.root / "build") or located.real == paths.root

    return losses(weigh(text, paths.locate, unkept))


@pytest.mark.parametrize("line", TOLD)
def test_what_could_not_be_undone_is_one_phrase(line: str, places: Paths) -> None:
    command, _, phrases = line.partition("   ")
    outside = {
        "outside": str(places.root.parent),
        "person": str(Path.home() if "~" not in command else places.root.parent / "ada"),
    }
    assert told(command, places) == tuple(phrase.strip().format(**outside) for phrase in phrases.split("|"))


@pytest.mark.parametrize("line", NOTHING)
def test_nothing_is_said_of_what_can_be_undone_or_only_looks(line: str, places: Paths) -> None:
    assert told(line, places) == ()


def test_every_phrase_is_said_in_chinese() -> None:
    phrases = {phrase.strip() for line in TOLD for phrase in line.partition("   ")[2].split("|")}
    assert {phrase for phrase in phrases if catalogue("zh").told(phrase) == phrase} == set()


async def test_the_screen_shows_what_could_not_be_undone(person: Person, server: ScriptedServer) -> None:
    server.script += [answer("", calls=[("shell", {"command": "gh pr merge 7 && npm publish"})]), answer("So be it.")]
    async with screen_of(person, mode="edits") as screen:
        await screen.say("release it")
        await screen.see("could not be undone  the merge, at the forge", "could not be undone  what it publishes, once others")
        await screen.heard()
        await screen.pilot.press("r", "enter")
        await screen.see("So be it.")
