"""Keys of a service in a compose file, and their readers."""

from __future__ import annotations

import math
import shlex
from typing import Any

from plumb.compose import normal_form
from plumb.compose.project import Condition, Dependency, Joined
from plumb.compose.reading import environment, no_effect
from plumb.compose.reading.document import Node
from plumb.compose.reading.fields import (
    Reader,
    Remarks,
    each_parsed,
    flag,
    nodes,
    number,
    optional_pairs,
    pairs,
    parsed,
    placed,
    read,
    seconds,
    text,
    texts,
    words,
)
from plumb.errors import Invalid
from plumb.frozen import replace
from plumb.model import container_options as own
from plumb.model import parse
from plumb.model.cnm import Pairs
from plumb.model.lifecycle import HealthCheck, restart, signals
from plumb.model.net.attachment import make_attachment
from plumb.model.ports import PortBinding


def _network_mode(node: Node) -> str:
    kind, colon, name = node.text.partition(":")
    known = kind in ("service", "container") and name if colon else kind in MODES
    if not known:
        raise node.refused(
            f"network_mode {node.text!r} is none",
            "it is bridge, host, none, service:NAME or container:NAME; networks are in `networks`",
        )
    return node.text


MODES = ("bridge", "host", "none")


def _networks(node: Node) -> tuple[Joined, ...]:
    """Places in networks, in the order in which they are joined: by priority, then by name."""
    listed = isinstance(node.value, tuple)
    found = (
        [(each.text, replace(each, value=None)) for each in node.items]
        if listed
        else node.mapping.items()
    )
    joined = [_joined(key, each) for key, each in found]
    return tuple(sorted(joined, key=lambda each: (-each.priority, each.network)))


def _joined(key: str, node: Node) -> Joined:
    asked = read(node, PLACE, {}, [])
    priority = asked.pop("priority", 0)
    ifname = asked.pop("interface_name", "")
    options = asked.pop("driver_opts", ())
    if ifname:
        options = (*options, (parse.ENDPOINT + "ifname", ifname))
    asked = {KEYWORDS.get(name, name): value for name, value in asked.items()}
    try:
        return Joined(key, make_attachment(key, **asked, driver_opts=options), priority)
    except Invalid as error:
        raise node.refused(str(error), error.hint) from None


KEYWORDS = {"ipv4_address": "ip", "ipv6_address": "ip6", "link_local_ips": "link_local"}
"""Keys of a place in a network that the library calls otherwise."""


PLACE: dict[str, Reader] = {
    "aliases": texts,
    "ipv4_address": text,
    "ipv6_address": text,
    "link_local_ips": texts,
    "mac_address": text,
    "priority": number,
    "gw_priority": number,
    "driver_opts": pairs,
    "interface_name": text,
}


def ports(node: Node, remarks: Remarks) -> tuple[PortBinding, ...]:
    """Read ports, each in its short form, HOST:PORT/PROTOCOL, or in its long one.

    Args:
        remarks: takes a line for each key without effect.
    """
    found = [port for each in node.items for port in _port(each, remarks)]
    return tuple(dict.fromkeys(found))


def _port(node: Node, remarks: Remarks) -> tuple[PortBinding, ...]:
    if not isinstance(node.value, dict):
        return placed(node, own.published)
    fields = read(node, PORT, no_effect.PORT, remarks)
    spelt = ",".join(f"{key}={fields[key]}" for key in PORT if fields.get(key))
    return placed(replace(node, value=spelt), own.published)


PORT: dict[str, Reader] = dict.fromkeys(("target", "published", "protocol", "host_ip"), text)


def _expose(node: Node) -> tuple[str, ...]:
    found = [port for each in node.items for port in placed(each, own.exposed)]
    return tuple(dict.fromkeys(found))


def _extra_hosts(node: Node) -> Pairs:
    """NAME:ADDRESS or NAME=ADDRESS, or a mapping of names to an address or several."""
    if not isinstance(node.value, dict):
        return tuple(placed(each, own.extra_host) for each in node.items)
    return tuple(
        placed(ip, own.extra_host, f"{name}={ip.text}")
        for name, each in node.mapping.items()
        for ip in nodes(each)
    )


def _depends_on(node: Node) -> tuple[Dependency, ...]:
    if isinstance(node.value, tuple):
        return tuple(Dependency(each.text) for each in node.items)
    return tuple(
        Dependency(name, **read(each, DEPENDENCY, {}, [])) for name, each in node.mapping.items()
    )


def _condition(given: str) -> Condition:
    if given not in set(Condition):
        raise Invalid(f"condition {given!r} is none", f"there are {', '.join(Condition)}")
    return Condition(given)


DEPENDENCY: dict[str, Reader] = {"condition": parsed(_condition), "restart": flag, "required": flag}


def _healthcheck(node: Node) -> HealthCheck:
    found = read(node, HEALTH, {}, [])
    test = found.pop("test", "")
    if found.pop("disable", False) or test is None:
        return HealthCheck(disabled=True)
    return HealthCheck(command=test, **found)


def _test(node: Node) -> str | None:
    """A line for the shell: of CMD-SHELL or a text as it is, of CMD quoted; None for NONE."""
    if not isinstance(node.value, tuple):
        return node.text
    kind, *rest = [each.text for each in node.items] or [""]
    match kind:
        case "NONE":
            return None
        case "CMD":
            return shlex.join(rest)
        case "CMD-SHELL":
            return " ".join(rest)
        case _:
            raise node.refused(f"test begins with {kind!r}", "as NONE, CMD or CMD-SHELL")


HEALTH: dict[str, Reader] = {
    "test": _test,
    "disable": flag,
    "retries": number,
    **dict.fromkeys(("interval", "timeout", "start_period", "start_interval"), seconds),
}


def deploy(node: Node, remarks: Remarks) -> dict[str, Any]:
    """Read deploy: replicas and restart_policy, the latter as a container's restart policy.

    Args:
        remarks: takes a line for each key without effect.
    """
    readers = {**DEPLOY, "restart_policy": lambda each: _restart_policy(each, remarks)}
    found = read(node, readers, no_effect.DEPLOY, remarks)
    if found.get("mode") == "global":
        remarks.append(f"{node.mapping['mode'].place}: mode: {no_effect.NO_SWARM}")
    return found


def _mode(node: Node) -> str:
    if node.text not in ("replicated", "global"):
        raise node.refused(f"mode {node.text!r} is none", "there are replicated and global")
    return node.text


def _restart_policy(node: Node, remarks: Remarks) -> str:
    """deploy.restart_policy as a restart policy of a container."""
    readers: dict[str, Reader] = {"condition": text, "max_attempts": number}
    reason = "the pause between two starts is Docker's"
    found = read(node, readers, {"delay": reason, "window": reason}, remarks)
    condition, attempts = found.get("condition", "any"), found.get("max_attempts", 0)
    match condition:
        case "none":
            return "no"
        case "any":
            return "always"
        case "on-failure":
            return f"on-failure:{attempts}" if attempts else "on-failure"
        case _:
            raise node.refused(
                f"condition {condition!r} is none", "there are none, on-failure and any"
            )


REPLICAS = parse.between(0, 10_000)
"""Parser of the number of a service's containers."""
DEPLOY: dict[str, Reader] = {"mode": _mode, "replicas": parsed(REPLICAS)}


def _logging(node: Node) -> dict[str, Any]:
    found = read(node, {"driver": text, "options": pairs}, {}, [])
    options = tuple(f"{key}={value}" for key, value in found.get("options", ()))
    return {"log_driver": found.get("driver", ""), "log_opt": options}


def _own(node: Node) -> dict[str, Any]:
    """x-plumb: flags of `run` that the specification has no key for."""
    return read(node, dict.fromkeys(normal_form.OWN, flag), {}, [])


def _links(node: Node) -> Pairs:
    """NAME[:ALIAS]; without an alias the name itself."""
    return tuple(placed(each, own.link) for each in node.items)


def _restart(given: str) -> str:
    return str(restart.policy(given))


def _signal(given: str) -> str:
    signals.number(given)
    return given


def _sysctl(node: Node) -> Pairs:
    return tuple(
        placed(node, own.container_sysctl, f"{name}={value}") for name, value in pairs(node)
    )


def _grace(node: Node) -> int:
    """Whole seconds until a command is killed."""
    return math.ceil(seconds(node))


SERVICE: dict[str, Reader] = {
    "image": text,
    "container_name": parsed(parse.container_name),
    "scale": parsed(REPLICAS),
    "network_mode": _network_mode,
    "networks": _networks,
    "entrypoint": words,
    "command": words,
    "expose": _expose,
    "dns": each_parsed(parse.address),
    "dns_search": each_parsed(parse.search_domain),
    "dns_opt": each_parsed(parse.line),
    "extra_hosts": _extra_hosts,
    "hostname": parsed(parse.host_name),
    "domainname": parsed(parse.host_name),
    "links": _links,
    "external_links": _links,
    "env_file": environment.env_files,
    "environment": optional_pairs,
    "depends_on": _depends_on,
    "healthcheck": _healthcheck,
    "sysctls": _sysctl,
    "cap_add": each_parsed(own.capability),
    "cap_drop": each_parsed(own.capability),
    "privileged": flag,
    "label_file": texts,
    "labels": pairs,
    "logging": _logging,
    "restart": parsed(_restart),
    "init": flag,
    "user": text,
    "working_dir": text,
    "stop_signal": parsed(_signal),
    "stop_grace_period": _grace,
    "mac_address": parsed(parse.mac),
    "profiles": texts,
    "x-plumb": _own,
}
