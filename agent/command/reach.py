"""Owns which programs need the network, what they take from it or send, and which act on more than the workspace."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from agent.command.addresses import hosts_of, is_url
from agent.command.deed import Deed, Weighed
from agent.command.parts import Part, Word
from agent.workspace.registries import REGISTRIES

_FETCHES = "it installs packages"
_PUBLISHES = "it publishes, which nothing here can take back"
_SENDS = "it sends, which nothing here can take back"
_SOCKET = re.compile(r"/dev/(?:tcp|udp)/([^/\s]*)/?([0-9]*)")


@dataclass(frozen=True, slots=True)
class _Packages:
    """The words with which a package manager fetches, publishes, and reaches others otherwise."""

    fetches: frozenset[str]
    publishes: frozenset[str] = frozenset()
    asks: frozenset[str] = frozenset()


def _packages(fetches: str, publishes: str = "", asks: str = "") -> _Packages:
    return _Packages(frozenset(fetches.split(",")), frozenset(publishes.split(",")), frozenset(asks.split(",")))


# Of words in pairs, both must stand there. "" is the program without any.
_PIP = _packages("install,download,wheel", "", "search,index")
_NODE = _packages(
    "install,i,in,ins,add,ci,clean-install,install-test,it,update,up,upgrade,create,init,dlx,exec,x,dedupe,rebuild,fetch,import",
    "publish,unpublish,deprecate,dist-tag,access,owner,token,login,adduser,team,org,star,stage",
    "audit,outdated,view,info,show,search,ping,whoami,profile,doctor,fund",
)
_MANAGERS: Mapping[str, _Packages] = MappingProxyType(
    {
        **dict.fromkeys(("pip", "pip3"), _PIP),
        "pipx": _packages("install,inject,upgrade,upgrade-all,run,reinstall,reinstall-all,install-all"),
        "uv": _packages(
            "add,sync,lock,pip install,pip sync,pip compile,tool install,tool upgrade,tool run,python install,remove,self update",
            "publish",
        ),
        "uvx": _packages(",*"),
        "poetry": _packages("add,install,update,lock,sync,remove,self add,self update", "publish", "search,source add"),
        "pdm": _packages("add,install,update,lock,sync,remove", "publish", "search,outdated"),
        "pipenv": _packages("install,update,sync,lock,upgrade,"),
        "hatch": _packages("env create,dep hash", "publish"),
        "npm": _NODE,
        **dict.fromkeys(("pnpm", "bun"), _NODE),
        "yarn": _packages(
            "," + ",".join(sorted(_NODE.fetches)) + ",global add,set version", "publish,npm publish,login", "audit,info"
        ),
        **dict.fromkeys(("npx", "pnpx", "bunx"), _packages("*")),
        "corepack": _packages("prepare,install,up,use,enable"),
        "deno": _packages("install,add,cache,outdated,upgrade", "publish,deploy"),
        "cargo": _packages(
            "add,install,fetch,update,search,vendor,binstall,generate-lockfile", "publish,yank,login,owner", "info"
        ),
        "rustup": _packages("install,update,toolchain install,component add,target add,self update,default"),
        "go": _packages("get,install,mod download,mod tidy,mod vendor,work sync", "", "list -m"),
        "gem": _packages("install,update,fetch", "push,yank,signin", "search,outdated"),
        **dict.fromkeys(("bundle", "bundler"), _packages("install,update,add,lock,outdated,")),
        "composer": _packages(
            "install,update,require,create-project,global require,i,u,upgrade,self-update", "", "search,show,outdated"
        ),
        "dotnet": _packages("restore,add package,tool install,tool restore,workload install,new install", "nuget push"),
        "nuget": _packages("install,restore,update", "push"),
        "mix": _packages("deps.get,deps.update,local.hex,local.rebar,archive.install", "hex.publish"),
        **dict.fromkeys(("dart", "flutter"), _packages("pub get,pub add,pub upgrade,upgrade", "pub publish")),
        **dict.fromkeys(
            ("conda", "mamba", "micromamba"), _packages("install,create,update,upgrade,env create,env update", "", "search")
        ),
    }
)
_GLOBAL: Mapping[str, frozenset[str]] = MappingProxyType(
    dict.fromkeys(("npm", "pnpm", "yarn", "bun"), frozenset({"-g", "--global", "global"}))
)
# These name where else a package manager may go.
_ELSEWHERE = re.compile(
    r"-i$|-f$|--(?:index|index-url|extra-index-url|default-index|find-links|registry|proxy|trusted-host|source|git|repository-url|url)(?:=|$)"
)
_FROM_GIT = re.compile(r"[\w.+-]+\+(?:https?|ssh|git|file)://|git@|github:|gitlab:|bitbucket:|(?:[\w.\[\],-]+ ?@ ?)[\w+]+://")

_REACHES: Mapping[str, str] = MappingProxyType(
    {
        **dict.fromkeys(
            ("curl", "wget", "http", "https", "xh", "aria2c", "lynx", "w3m", "links", "httpie", "axel"),
            "it fetches from the network",
        ),
        **dict.fromkeys(
            ("ssh", "mosh", "telnet", "ssh-copy-id", "ssh-keyscan", "sshpass", "autossh"), "it reaches another machine"
        ),
        **dict.fromkeys(
            ("scp", "sftp", "ftp", "lftp", "tftp", "rclone", "croc", "magic-wormhole", "wormhole"),
            "it copies from or to another machine",
        ),
        **dict.fromkeys(("nc", "ncat", "netcat", "socat", "nmap", "websocat", "wscat", "grpcurl"), "it opens connections"),
        **dict.fromkeys(
            ("ping", "ping6", "traceroute", "tracepath", "mtr", "arping", "fping"), "it sends packets to another machine"
        ),
        **dict.fromkeys(("dig", "nslookup", "host", "drill", "whois", "resolvectl"), "it asks a name server"),
        **dict.fromkeys(("twine", "flit"), _PUBLISHES),
        **dict.fromkeys(("gh", "glab", "hub"), "it acts at a forge, which nothing here can take back"),
        **dict.fromkeys(
            (
                *("aws", "gcloud", "gsutil", "bq", "az", "kubectl", "oc", "helm", "terraform", "tofu", "pulumi", "ansible"),
                *("ansible-playbook", "heroku", "flyctl", "fly", "vercel", "netlify", "wrangler", "firebase", "doctl", "eksctl"),
                *("cdk", "sam", "serverless", "sls", "supabase", "railway", "ngrok", "cloudflared", "s3cmd", "mc", "linode-cli"),
            ),
            "it acts on services elsewhere, which nothing here can take back",
        ),
        **dict.fromkeys(("huggingface-cli", "hf", "kaggle", "dvc", "wandb", "ollama"), "it fetches, or sends, data"),
        **dict.fromkeys(
            ("mail", "mailx", "mutt", "sendmail", "msmtp", "swaks"), "it sends mail, which nothing here can take back"
        ),
        **dict.fromkeys(("psql", "mysql", "mongosh", "mongo", "redis-cli", "pg_dump", "mysqldump"), "it reaches a database"),
        **dict.fromkeys(("yt-dlp", "youtube-dl", "gallery-dl"), "it fetches from the network"),
        **dict.fromkeys(("nvm", "volta", "fnm", "sdk"), "it may fetch a version of a program"),
    }
)
# Of these, what looks at files here alone, whatever it is given but a URL.
_HERE: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        **dict.fromkeys(("terraform", "tofu"), frozenset({"fmt", "validate"})),
        "helm": frozenset({"template", "lint"}),
        **dict.fromkeys(("kubectl", "oc"), frozenset({"kustomize"})),
    }
)
_BARE_HOSTS = frozenset(("curl", "wget", "http", "https", "xh", "ping", "nc", "ncat", "netcat", "telnet"))
_SENDS_WITH = re.compile(
    r"-[a-zA-Z]*[dFT]|--(?:data|form|json|upload-file|post-|body-)|-X(?:POST|PUT|PATCH|DELETE)|POST$|PUT$|PATCH$|DELETE$|"
    r"--(?:request|method)=(?:POST|PUT|PATCH|DELETE)"
)
_LEAVES: Mapping[str, str] = MappingProxyType(
    {
        **dict.fromkeys(
            ("sudo", "doas", "su", "pkexec", "runuser", "run0", "gosu", "su-exec", "sg", "newgrp"), "it acts as another user"
        ),
        **dict.fromkeys(("kill", "pkill", "killall", "killall5", "skill", "xkill"), "it ends processes"),
        **dict.fromkeys(
            (
                *("systemctl", "service", "launchctl", "rc-service", "initctl", "loginctl", "sv", "supervisorctl", "systemd-run"),
                *("hostnamectl", "timedatectl", "localectl", "journalctl", "dbus-send", "busctl", "gdbus"),
            ),
            "it acts on services of this machine",
        ),
        **dict.fromkeys(("crontab", "at", "batch", "atrm"), "it has something run later"),
        **dict.fromkeys(
            ("mount", "umount", "fusermount", "losetup", "swapon", "swapoff", "modprobe", "insmod", "rmmod"),
            "it changes the machine",
        ),
        **dict.fromkeys(("shutdown", "reboot", "poweroff", "halt", "init", "telinit", "kexec"), "it ends the machine"),
        **dict.fromkeys(
            (
                *(
                    "useradd",
                    "userdel",
                    "usermod",
                    "groupadd",
                    "groupdel",
                    "groupmod",
                    "adduser",
                    "deluser",
                    "passwd",
                    "chpasswd",
                ),
                *("chsh", "chfn", "visudo", "vipw", "gpasswd"),
            ),
            "it changes the users of this machine",
        ),
        **dict.fromkeys(
            (
                *("docker", "podman", "nerdctl", "docker-compose", "podman-compose", "buildah", "minikube", "kind", "vagrant"),
                *("lxc", "incus", "virsh", "multipass", "crictl", "ctr"),
            ),
            "it starts what no sandbox here confines",
        ),
        **dict.fromkeys(
            ("iptables", "ip6tables", "nft", "ufw", "firewall-cmd", "ip", "ifconfig", "route", "sysctl", "tc"),
            "it changes the machine's network",
        ),
        **dict.fromkeys(
            (
                *("apt", "apt-get", "aptitude", "dpkg", "dnf", "yum", "rpm", "pacman", "yay", "apk", "zypper", "brew", "port"),
                *(
                    "snap",
                    "flatpak",
                    "emerge",
                    "nix-env",
                    "nix",
                    "nix-shell",
                    "winget",
                    "choco",
                    "scoop",
                    "update-alternatives",
                    "pkg",
                ),
            ),
            "it installs programs on this machine",
        ),
        **dict.fromkeys(
            (
                *("mkfs", "fdisk", "parted", "sfdisk", "mkswap", "wipefs", "lvcreate", "lvremove", "cryptsetup", "mdadm"),
                *("mkfs.ext4", "mkfs.xfs", "mkfs.btrfs", "mkfs.vfat"),
            ),
            "it changes disks",
        ),
        **dict.fromkeys(
            ("osascript", "open", "xdg-open", "defaults", "say", "wslview", "start", "explorer.exe"), "it acts on the desktop"
        ),
        **dict.fromkeys(("tmux", "screen", "zellij", "code", "cursor", "subl"), "it acts in programs that run outside"),
        **dict.fromkeys(("pbcopy", "pbpaste", "xclip", "xsel", "wl-copy", "wl-paste"), "it acts on the clipboard"),
        **dict.fromkeys(
            ("ssh-keygen", "ssh-add", "gpg", "gpg2", "security", "keyring", "secret-tool", "pass", "op", "bw", "vault"),
            "it deals with keys",
        ),
        **dict.fromkeys(("chroot", "nsenter", "unshare", "bwrap", "setcap", "capsh"), "it leaves the sandbox's bounds"),
    }
)
_ONLY_ASKS: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        **dict.fromkeys(("apt", "aptitude"), frozenset({"list", "show", "search", "policy", "depends", "rdepends"})),
        "dpkg": frozenset({"-l", "-L", "-s", "-S", "--list", "--listfiles", "--status", "--search", "--print-architecture"}),
        "rpm": frozenset({"-q", "-qa", "-qi", "-ql", "-qf"}),
        "brew": frozenset({"list", "ls", "--prefix", "--version", "config", "leaves", "deps"}),
        "crontab": frozenset({"-l"}),
        "kill": frozenset({"-l", "-L"}),
        "mount": frozenset({""}),
        "ip": frozenset({"addr", "a", "route", "r", "link", "-br"}),
        "ifconfig": frozenset({""}),
        "gpg": frozenset({"--version"}),
    }
)


# Programs that say something of the machine, and with such a word change it.
_SETS: Mapping[str, Callable[[Word], bool]] = MappingProxyType(
    {
        "date": lambda word: bool(
            re.fullmatch(r"-[a-zA-Z]*s.*|--s(?:e|et)?(?:=.*)?|[0-9]{8,12}(?:\.[0-9]{2})?", word.text, re.DOTALL)
        ),
        "hostname": lambda word: bool(re.match(r"[^-]|-[a-zA-Z]*[Fb]|--(?:file|boot)", word.text)),
        "domainname": lambda word: not word.text.startswith("-"),
    }
)
_IP_SETS = frozenset(
    {"add", "del", "delete", "set", "change", "replace", "append", "flush", "restore", "a", "d", "s", "c", "r", "f"}
)


def reached(part: Part, name: str) -> Iterator[Weighed]:
    """Yield how a part needs the network."""
    words = part.words[1:]
    for word in (*part.words, *(redirect.target for redirect in part.redirects if "<<" not in redirect.operator)):
        if found := _SOCKET.search(word.text):
            hosts = hosts_of((Word(f"x://{found[1]}:{found[2]}"),)) if word.literal and found[2] else ()
            yield Weighed(part, Deed.REACHES, "it opens a connection", hosts)
            return
    if name in _MANAGERS:
        yield from _managed(part, name, words)
    elif name == "rsync":
        if any(re.match(r"(?:[\w.-]+@)?[\w.-]+:", word.text) or is_url(word.text) for word in words):
            yield Weighed(part, Deed.REACHES, "it copies from or to another machine", hosts_of(words))
    elif name == "openssl" and words and words[0].text == "s_client":
        yield Weighed(part, Deed.REACHES, "it opens connections")
    elif name in {"scrapy", "playwright"} and words and words[0].text in {"fetch", "shell", "install", "install-deps"}:
        yield Weighed(part, Deed.REACHES, "it fetches from the network")
    elif name in _REACHES:
        yield from _reaching(part, name, words)


def left(part: Part, name: str) -> Iterator[Weighed]:
    """Yield how a part acts on more than the workspace, whatever its operands are."""
    words = part.words[1:]
    why = _LEAVES.get(name) or ("it changes the machine" if name in _SETS and any(map(_SETS[name], words)) else None)
    if why is None:
        return
    first = words[0].text if words else ""
    if name in _ONLY_ASKS and first in _ONLY_ASKS[name] and not (name == "ip" and any(word.text in _IP_SETS for word in words)):
        return
    if first == "--version" and len(words) == 1 and words[0].literal:
        return
    if name == "init" and first not in {"0", "1", "6"}:
        return
    # A number below zero is a whole group of processes, or with -1 all; only in front it is a signal.
    jobs = words[1:] if re.fullmatch(r"-\w+", first) else words
    if name == "kill" and words and all(re.fullmatch(r"%[0-9%+-]*|\"?\$!\"?", word.text) for word in jobs):
        return
    yield Weighed(part, Deed.LEAVES, why)


def program(part: Part) -> tuple[str, Part]:
    """Return the name of the program that a part starts, and the part without what stands before it: `python -m pip`."""
    name = part.words[0].text.rpartition("/")[2]
    if name[:2] != "py" and name[:3] != "pip":
        return name, part
    if re.fullmatch(r"python[0-9.]*|py|pypy[0-9.]*", name):
        at = next((at for at, word in enumerate(part.words) if word.text == "-m"), 0)
        if at and len(part.words) > at + 1 and all(word.text.startswith("-") for word in part.words[1:at]):
            words = part.words[at + 1 :]
            return words[0].text, Part(part.source, words, part.assigns, part.redirects, part.wrapped)
        return "python", part
    if re.fullmatch(r"pip[0-9.]+", name):
        return "pip", part
    return name, part


def _managed(part: Part, name: str, words: tuple[Word, ...]) -> Iterator[Weighed]:
    manager = _MANAGERS[name]
    plain = [word.text for word in words if not word.text.startswith("-")]
    verbs = {" ".join(plain[:2]), plain[0] if plain else ""}
    if name == "uv" and plain[:1] == ["run"]:
        return  # with what it needs to fetch it fails, and says so
    if any(word.text in {"--help", "-h", "--version", "-V", "--dry-run"} for word in words) and not verbs & manager.publishes:
        return
    if verbs & (manager.publishes - {""}):
        yield Weighed(part, Deed.REACHES, _PUBLISHES, REGISTRIES.get(name, ()))
    elif verbs & manager.fetches or "*" in manager.fetches:
        if name in {"npx", "bunx", "pnpx"} and any(word.text in {"--no", "--no-install"} for word in words):
            return
        if any(word.text in _GLOBAL.get(name, ()) for word in words):
            yield Weighed(part, Deed.LEAVES, "it installs outside the workspace")
        yield _fetching(part, name, words)
    elif verbs & (manager.asks - {""}):
        yield Weighed(part, Deed.REACHES, "it asks a registry of packages", REGISTRIES.get(name, ()))


def _fetching(part: Part, name: str, words: tuple[Word, ...]) -> Weighed:
    registry = REGISTRIES.get(name, ())
    why = _FETCHES if name not in {"npx", "uvx", "bunx", "pnpx"} else "it may fetch the program that it runs"
    if not all(word.literal or word.glob for word in words):
        return Weighed(part, Deed.REACHES, why, registry)
    if any(_ELSEWHERE.match(word.text) or is_url(word.text) or _FROM_GIT.match(word.text) for word in words):
        named = hosts_of(tuple(Word(word.text.removeprefix("git+")) for word in words), remote=0)
        return Weighed(part, Deed.REACHES, f"{why} from elsewhere than its registry", (*registry, *named) if named else ())
    return Weighed(part, Deed.REACHES, why, registry, installs=name if registry else "")


def _reaching(part: Part, name: str, words: tuple[Word, ...]) -> Iterator[Weighed]:
    if len(words) == 1 and words[0].text in {"--version", "-V", "--help", "-h", "version"}:
        return
    if words and words[0].text in _HERE.get(name, ()) and not any(is_url(word.text) for word in words):
        return
    why = _REACHES[name]
    if name in {"curl", "wget", "http", "https", "xh"} and any(_SENDS_WITH.match(word.text) for word in words):
        why = _SENDS
    if name == "ollama" and words and words[0].text in {"list", "ps", "show"}:
        return
    hosts = hosts_of(words, bare=name in _BARE_HOSTS)
    named = {"gh": ("api.github.com", "github.com", "uploads.github.com"), "twine": ("upload.pypi.org",)}.get(name, hosts)
    told = f" to {', '.join(hosts)}" if hosts and why == _SENDS else ""
    yield Weighed(part, Deed.REACHES, f"it sends{told}, which nothing here can take back" if told else why, named)
