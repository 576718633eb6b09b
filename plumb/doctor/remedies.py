"""Remedies in the words of whoever owns the thing that is wrong.

A remedy is a line for a shell, and its names may be somebody else's: each is quoted, and a
container's is the one that its own engine has.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from shlex import quote
from zlib import crc32

from plumb.foreign import names
from plumb.foreign.values import RESTART_DOCKER
from plumb.frozen import replace
from plumb.model.diagnosis.remedy import Advice, Argv, Remedy, RemedyStep, command
from plumb.model.diagnosis.snapshot import PLUMB, NamespaceState, NetworkState, RouteState
from plumb.things.iptables import waiting
from plumb.things.layer3 import dotted

MADE_ANEW = "the container made anew: its CNI plugins run again then"
COMMANDS = {PLUMB: "plumb", "docker": "docker", "podman": "podman", "containerd": "nerdctl"}
ChainName = tuple[str, str, str]
CONTAINERD = "containerd"
"""Engine of pods, whose names its own commands do not take."""


REBUILD: dict[str, Advice] = {
    PLUMB: command(("plumb", "repair")),
    "docker": replace(command(("systemctl", "restart", "docker")), text=RESTART_DOCKER),
    "podman": command(("podman", "network", "reload", "--all")),
    CONTAINERD: MADE_ANEW,
}


def rebuild(engine: str) -> Advice:
    """The command with which an engine writes its rules and links again."""
    return REBUILD.get(engine, f"restart {quote(engine)}")


def of_networks(nets: Iterable[NetworkState]) -> list[Advice]:
    """Commands that rebuild the networks' rules, one for each engine."""
    return list(dict.fromkeys(rebuild(net.engine) for net in nets))


def words_of(engine: str) -> str:
    """The command line of an engine: "docker"."""
    return COMMANDS.get(engine, "docker")


def another_subnet(net: NetworkState) -> str:
    """The command that makes a network anew, in words for its end."""
    return f"{words_of(net.engine)} network rm {quote(net.name)}, and make it with another --subnet"


def own(container: str) -> str:
    """A container's name as its engine has it, "web" for "docker:web", as a word of a shell."""
    return quote(names.qualifier(container)[1])


def inside(engine: str, container: str, place: str, argv: Argv, undo: Argv) -> Remedy:
    """A command in a container's network namespace.

    Args:
        engine: the container's; container: its name.
        place: the name of its namespace.
        argv, undo: the words of the command and of that which takes it back.
    """
    step = RemedyStep(argv, (undo,), place)
    return Remedy((step,), _inside(engine, container, shlex.join(argv)))


def inside_words(engine: str, container: str, argv: Argv) -> str:
    """The line with which somebody runs a command in a container's network namespace."""
    return _inside(engine, container, shlex.join(argv))


def _inside(engine: str, container: str, line: str) -> str:
    if engine == PLUMB:
        return f"plumb exec --privileged {own(container)} {line}"
    if engine == CONTAINERD:
        return f"nsenter -t PID -n {line}, with the pid of a program in {own(container)}"
    pid = f"$({words_of(engine)} inspect -f '{{{{.State.Pid}}}}' {own(container)})"
    return f"nsenter -t {pid} -n {line}"


def restart(engine: str, container: str) -> Advice:
    """The command that starts a container again; its program ends, which nothing takes back."""
    if engine == CONTAINERD:
        return MADE_ANEW
    return command((words_of(engine), "restart", names.qualifier(container)[1]))


def quoted(line: str) -> str:
    """A line of words that somebody else wrote, with each of them as a word of a shell."""
    try:
        return shlex.join(shlex.split(line))
    except ValueError:  # a quotation mark without its partner
        return quote(line)


def plain(words: Iterable[str]) -> bool:
    """True if a shell takes each of the words as it stands."""
    return all(quote(each) == each for each in words)


def setting(space: NamespaceState, name: str, value: str) -> Remedy:
    """The command that sets a sysctl of the host.

    Args:
        space: the host's namespace, with the value that it has.
        name, value: of the sysctl.
    """
    old = space.setting(name)
    undo = (_setting(name, old), *_changed_along(space, name)) if old else ()
    return Remedy((RemedyStep(_setting(name, value), undo),))


def _setting(name: str, value: str) -> Argv:
    return ("sysctl", "-w", f"{dotted(name)}={value}")


def _changed_along(space: NamespaceState, name: str) -> list[Argv]:
    """Settings that the kernel changes with another one: ip_forward sets that of each link."""
    if name != "net/ipv4/ip_forward":
        return []
    return [
        _setting(each, value)
        for each, value in space.settings
        if each.endswith("/accept_redirects")
        or (each.startswith("net/ipv4/conf/") and each.endswith("/forwarding") and value != "0")
    ]


def link_up(name: str) -> Remedy:
    """The command that sets a link of the host up."""
    return command(("ip", "link", "set", name, "up"), ("ip", "link", "set", name, "down"))


def without_route(route: RouteState) -> Remedy:
    """The command that deletes a route of the host's."""
    words = tuple(str(route).split())
    return command(("ip", "route", "del", *words), ("ip", "route", "add", *words, *route.rest))


def nft_listing(chain: ChainName, *options: str) -> Argv:
    """The words that list a chain of nft.

    nft puts its arguments together and would take a name with a semicolon for further commands: all
    rules are listed then.

    Args:
        chain: its family, table and name; options: of nft.
    """
    what = ("chain", *chain) if plain(chain) else ("ruleset",)
    return ("nft", *options, "list", *what)


def iptables(tool: str, *words: str, head: bool = False) -> Remedy:
    """The command that adds a rule of iptables.

    Args:
        tool: the variant of iptables.
        words: the table's name and chain, then the rule.
        head: it goes before the chain's other rules.
    """
    table, chain, *rule = words
    start = (*waiting(tool).split(), *(() if table == "filter" else ("-t", table)))
    added = (*start, "-I" if head else "-A", chain, *rule)
    return command(added, (*start, "-D", chain, *rule))


NFT_MARK = "plumb-doctor-"
"""Beginning of the comment of a rule of nft that doctor adds, behind which comes a digest of the
rule: nft deletes by handle, and the comment finds it."""


def opened(line: str) -> Remedy:
    """A command of `foreign_firewall.openings`, with the one that takes it back."""
    words = tuple(shlex.split(line))
    if "--permanent" in words:  # what is taken back until the next boot must not outlive it
        return Remedy((), line)
    if words[0] == "nft":
        mark = f"{NFT_MARK}{crc32(line.encode()):08x}"
        undo = ("nft", "delete", "rule", *words[3:6], "comment", mark)
        return replace(command((*words, "comment", mark), undo), text=str(command(words)))
    if words[0] == "firewall-cmd":
        return command(words, [each.replace("--add-", "--remove-") for each in words])
    return command(words, ["-D" if each == "-I" else each for each in words])
