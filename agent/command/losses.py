"""Owns what of a command could not be undone, a phrase a part: by what it is known to do, and by rows of data."""

import re
from collections.abc import Mapping
from types import MappingProxyType

from agent.command.deed import Command, Deed, Weighed
from agent.command.reach import program

ELSEWHERE = "without the sandbox, what it changes outside the workspace"
_PUSHED_OVER = "commits at the other repository that it pushes over"
_SENT = "what it sends, and what is done with it there"
_PUBLISHED = "what it publishes, once others have fetched it"
_THERE = "what it changes there"
_DELETED = "what it deletes there"
_MACHINE = "what it changes on this machine"
_ROWS = "rows and tables that it changes or drops"
_STATEMENTS = r"(?i)\b(?:drop|delete|truncate|update|alter|insert|replace|merge|grant|revoke)\b|(?:^| )-f|--file"
_HISTORY = "commits that no branch and no tag leads to"
_ANOTHER_MACHINE = "what it changes on the other machine"
# What stands in the words behind a program's name, and what is lost then; the first that fits.
_Row = tuple[tuple[str, str], ...]

_SENDS: _Row = (
    (r"(?:^| )(?:-[a-zA-Z]*[dFT]|--(?:data|form|json|upload-file|post-|body-))", _SENT),
    (r"(?:^| )(?:-X ?|--(?:request|method)[ =])?(?:POST|PUT|PATCH)\b", _SENT),
    (r"(?:^| )(?:-X ?|--(?:request|method)[ =])?DELETE\b", _DELETED),
)
_CLOUD: _Row = (
    (r"\b(?:delete|rm|rb|remove|terminate|purge|destroy|deregister|drop)\b|delete-|terminate-|remove-|-delete\b", _DELETED),
    (r"(?:^| )(?:ls|list|describe|get|show|help|version|configure list|whoami)\b|(?:^| )(?:list|describe|get)-", ""),
    ("", _THERE),
)
_STATES: _Row = ((r"(?:^| )(?:destroy|remove|down)\b", _DELETED), (r"(?:^| )(?:apply|up|deploy|import|taint|state)\b", _THERE))
_CONTAINERS: _Row = (
    (
        r"(?:^| )(?:volume (?:rm|remove|prune)|down\b.* (?:-v|--volumes)\b|system prune\b.*--volumes)",
        "volumes, and what they hold",
    ),
    (r"(?:^| )(?:rmi|image (?:rm|remove|prune))\b", "images that nobody can fetch again"),
    (r"(?:^| )(?:rm|remove|prune|down)\b", "containers, and what was written in them"),
    (r"(?:^| )(?:push|login)\b", _PUBLISHED),
    (r"(?:^| )(?:kill|stop|restart|pause)\b", "what the containers had not saved"),
    (r"(?:^| )(?:ps|images|logs|inspect|version|info|top|stats|ls|list|history|port|diff|events)\b", ""),
    ("", ELSEWHERE),
)
_CLUSTER: _Row = (
    (r"(?:^| )(?:delete|drain|uninstall|evict|replace --force)\b", "what it deletes in the cluster"),
    (
        r"(?:^| )(?:get|describe|logs|top|explain|api-resources|version|config view|list|status|diff|template|search|show)\b",
        "",
    ),
    ("", "what it changes in the cluster"),
)
_FORGE: _Row = (
    (r"(?:^| )(?:pr|mr) merge\b", "the merge, at the forge"),
    (
        r"(?:^| )(?:repo|release|gist|label|secret|variable|run|cache|project|codespace|ssh-key|gpg-key) delete\b",
        "what it deletes at the forge",
    ),
    (r"(?:^| )api\b(?!.*(?:-X|--method|-f|-F|--field|--raw-field|--input))", ""),
    (r"(?:^| )(?:list|view|status|diff|checks|watch|clone|checkout|browse|download|search|auth status|help|version)\b", ""),
    ("", "what it publishes or changes at the forge"),
)
_MACHINES: _Row = ((r"(?:^| )(?:list|status|show|is-active|is-enabled|cat)\b", ""), ("", _MACHINE))

_GIT: _Row = (
    (r"(?:^| )push\b.*(?: --mirror| --force| -f\b| -[a-z]*f[a-z]*\b| \+\S)", _PUSHED_OVER),
    (r"(?:^| )push\b.*(?: --delete| --prune| -d\b| :\S)", "branches and tags that it deletes at the other repository"),
    (r"(?:^| )(?:push|send-pack)\b", "commits that it publishes, once others have fetched them"),
    (r"(?:^| )send-email\b", "mail, once it is sent"),
    (r"(?:^| )(?:gc|prune|reflog|repack|update-ref|filter-branch|filter-repo|prune-packed|maintenance)\b", _HISTORY),
    (r"(?:^| )worktree remove\b", "changes in that work tree that are not committed"),
    (r"(?:^| )clean\b", "files that git ignores, which the ledger does not keep"),
    (r"(?:^| )(?:config|remote|submodule)\b", "what git's settings say now"),
)
_DATABASE: _Row = ((_STATEMENTS, _ROWS),)
_BY_PROGRAM: Mapping[str, _Row] = MappingProxyType(
    {
        "git": _GIT,
        **dict.fromkeys(("curl", "wget", "http", "https", "xh"), _SENDS),
        **dict.fromkeys(("ssh", "mosh", "autossh", "sshpass", "telnet", "ssh-copy-id"), (("", _ANOTHER_MACHINE),)),
        **dict.fromkeys(("scp", "sftp", "ftp", "lftp", "rclone", "rsync", "tftp"), (("", "what it writes over at either end"),)),
        **dict.fromkeys(("nc", "ncat", "netcat", "socat", "websocat", "croc", "wormhole", "magic-wormhole"), (("", _SENT),)),
        **dict.fromkeys(("twine", "flit"), (("", _PUBLISHED),)),
        **dict.fromkeys(("gh", "glab", "hub"), _FORGE),
        **dict.fromkeys(("kubectl", "oc", "helm"), _CLUSTER),
        **dict.fromkeys(("terraform", "tofu", "pulumi", "cdk", "sam", "serverless", "sls"), _STATES),
        **dict.fromkeys(
            (
                *("aws", "gcloud", "gsutil", "bq", "az", "heroku", "flyctl", "fly", "vercel", "netlify", "wrangler", "firebase"),
                *("doctl", "eksctl", "supabase", "railway", "s3cmd", "mc", "linode-cli", "ansible", "ansible-playbook"),
            ),
            _CLOUD,
        ),
        **dict.fromkeys(("docker", "podman", "nerdctl", "docker-compose", "podman-compose"), _CONTAINERS),
        **dict.fromkeys(
            ("psql", "mysql", "sqlcmd", "mongosh", "mongo"), (*_DATABASE, (r"\b(?:remove|drop|deleteOne|deleteMany)", _ROWS))
        ),
        "redis-cli": (
            (r"(?i)\b(?:flush(?:all|db)|del|unlink|set|expire|rename|restore|migrate|eval)\b", "keys that it changes or deletes"),
        ),
        **dict.fromkeys(("mail", "mailx", "mutt", "sendmail", "msmtp", "swaks"), (("", "mail, once it is sent"),)),
        **dict.fromkeys(("kill", "pkill", "killall", "killall5", "skill", "xkill"), (("", "what the processes have not saved"),)),
        **dict.fromkeys(
            ("shutdown", "reboot", "poweroff", "halt", "init", "telinit", "kexec"), (("", "what programs have not saved"),)
        ),
        **dict.fromkeys(
            (
                *("mkfs", "fdisk", "parted", "sfdisk", "mkswap", "wipefs", "lvcreate", "lvremove", "cryptsetup", "mdadm"),
                *("mkfs.ext4", "mkfs.xfs", "mkfs.btrfs", "mkfs.vfat"),
            ),
            (("", "what the disk holds"),),
        ),
        "crontab": (("", "the list of what is run later, as it is now"),),
        **dict.fromkeys(("pbcopy", "xclip", "xsel", "wl-copy"), (("", "what the clipboard holds now"),)),
        **dict.fromkeys(("ssh-keygen", "gpg", "gpg2"), (("", "keys that it writes over or deletes"),)),
        **dict.fromkeys(
            ("systemctl", "service", "launchctl", "apt", "apt-get", "aptitude", "dnf", "yum", "brew", "snap", "dpkg"), _MACHINES
        ),
    }
)
_PUBLISHES = re.compile(
    r"(?:^| )(?:publish|unpublish|deprecate|dist-tag|yank|push|nuget push|hex\.publish|access|owner|deploy)\b"
)


def losses(command: Command) -> tuple[str, ...]:
    """Return what of a command could not be undone, each once; nothing where all of it can be, or nobody knows."""
    return tuple(dict.fromkeys(lost for one in command.parts if (lost := _lost(one))))


def _lost(one: Weighed) -> str:
    if one.strays or one.lost or one.deed not in {Deed.REACHES, Deed.RUINS, Deed.LEAVES} or not one.part.words:
        return one.lost
    name, meant = program(one.part)
    told = " ".join(meant.argv[1:])
    rows = _BY_PROGRAM.get(name)
    if rows is not None:
        return next((lost for pattern, lost in rows if re.search(pattern, told)), "")
    if one.deed is Deed.REACHES:
        return _PUBLISHED if _PUBLISHES.search(told) else ""
    return ELSEWHERE if one.deed is Deed.LEAVES else ""
