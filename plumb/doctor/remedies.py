"""Remedies in the words of whoever owns the thing that is wrong.

A remedy is a line for a shell, and its names may be somebody else's: each is quoted, and a
container's is the one that its own engine has.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from shlex import quote

from plumb.foreign import names
from plumb.model.diagnosis.snapshot import PLUMB, NetworkState
from plumb.things.layer3 import dotted

MADE_ANEW = "the container made anew: its CNI plugins run again then"
COMMANDS = {PLUMB: "plumb", "docker": "docker", "podman": "podman", "containerd": "nerdctl"}
CONTAINERD = "containerd"
"""Engine of pods, whose names its own commands do not take."""


def rebuild(engine: str) -> str:
    """The command with which an engine writes its rules and links again."""
    return {
        PLUMB: "plumb repair",
        "docker": "systemctl restart docker",
        "podman": "podman network reload --all",
        CONTAINERD: MADE_ANEW,
    }.get(engine, f"restart {quote(engine)}")


def of_networks(nets: Iterable[NetworkState]) -> list[str]:
    """Commands that rebuild the networks' rules, one for each engine."""
    return list(dict.fromkeys(rebuild(net.engine) for net in nets))


def command(engine: str) -> str:
    """The command line of an engine: "docker"."""
    return COMMANDS.get(engine, "docker")


def another_subnet(net: NetworkState) -> str:
    """The command that makes a network anew, in words for its end."""
    return f"{command(net.engine)} network rm {quote(net.name)}, and make it with another --subnet"


def own(container: str) -> str:
    """A container's name as its engine has it, "web" for "docker:web", as a word of a shell."""
    return quote(names.qualifier(container)[1])


def inside(engine: str, container: str, line: str) -> str:
    """The command line that runs another one in a container's network namespace."""
    if engine == PLUMB:
        return f"plumb exec --privileged {own(container)} {line}"
    if engine == CONTAINERD:
        return f"nsenter -t PID -n {line}, with the pid of a program in {own(container)}"
    pid = f"$({command(engine)} inspect -f '{{{{.State.Pid}}}}' {own(container)})"
    return f"nsenter -t {pid} -n {line}"


def restart(engine: str, container: str) -> str:
    """The command that starts a container again."""
    return MADE_ANEW if engine == CONTAINERD else f"{command(engine)} restart {own(container)}"


def quoted(line: str) -> str:
    """A line of words that somebody else wrote, with each of them as a word of a shell."""
    try:
        return shlex.join(shlex.split(line))
    except ValueError:  # a quotation mark without its partner
        return quote(line)


def plain(words: Iterable[str]) -> bool:
    """True if a shell takes each of the words as it stands."""
    return all(quote(each) == each for each in words)


def setting(name: str, value: str) -> str:
    """The command that sets a sysctl."""
    return f"sysctl -w {quote(f'{dotted(name)}={value}')}"
