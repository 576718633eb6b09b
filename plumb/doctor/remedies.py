"""Remedies in the words of whoever owns the thing that is wrong."""

from __future__ import annotations

from collections.abc import Iterable

from plumb.model.diagnosis.snapshot import PLUMB, NetworkState


def rebuild(engine: str) -> str:
    """The command with which an engine writes its rules and links again."""
    return {
        PLUMB: "plumb repair",
        "docker": "systemctl restart docker",
        "podman": "podman network reload --all",
    }.get(engine, f"restart {engine}")


def of_networks(nets: Iterable[NetworkState]) -> list[str]:
    """Commands that rebuild the networks' rules, one for each engine."""
    return list(dict.fromkeys(rebuild(net.engine) for net in nets))


def command(engine: str) -> str:
    """The command line of an engine: "docker"."""
    return engine if engine in ("docker", "podman", PLUMB) else "docker"


def inside(engine: str, container: str, line: str) -> str:
    """The command line that runs another one in a container's network namespace."""
    if engine == PLUMB:
        return f"plumb exec --privileged {container} {line}"
    pid = f"$({command(engine)} inspect -f '{{{{.State.Pid}}}}' {container})"
    return f"nsenter -t {pid} -n {line}"


def restart(engine: str, container: str) -> str:
    """The command that starts a container again."""
    return f"{command(engine)} restart {container}"


def dotted(name: str) -> str:
    """A sysctl's name as its command has it."""
    return name.replace("/", ".")


def setting(name: str, value: str) -> str:
    """The command that sets a sysctl."""
    return f"sysctl -w {dotted(name)}={value}"
