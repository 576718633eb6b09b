"""A project as a file for other hosts: what is another there stands behind a variable.

    driver_opts: {parent: '${LAN_PARENT:-eth0}'}

Without the variable it is as on the host that wrote the file; plumb and Docker Compose read it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from ipaddress import ip_address
from typing import Any

from plumb.compose import normal_form
from plumb.compose.project import Project
from plumb.frozen import frozen
from plumb.model.parse import BRIDGE

Document = dict[str, Any]
OPTIONS = {
    "parent": "PARENT",
    BRIDGE + "host_binding_ipv4": "BINDING_IP",
    "com.docker.network.host_ipv4": "HOST_IPV4",
    "com.docker.network.host_ipv6": "HOST_IPV6",
}
"""Driver options whose values are a link or an address of the host, and what they are called."""
PLAIN = re.compile(r"[A-Za-z0-9_.:/@-]+")


@frozen
class Variable:
    """Variable of a file.

    Attributes:
        name: its name; default: the value on the host that wrote the file.
        of: what it is, as "parent of network lan".
    """

    name: str
    default: str
    of: str


def document(project: Project, *, variables: bool = True) -> tuple[Document, list[Variable]]:
    """Return a project as the document of a file, and the variables in it.

    Args:
        variables: whether there are any.
    """
    made = normal_form.escaped(normal_form.project(project))
    made.pop("name", None)
    made["networks"] = {
        key: normal_form.escaped(normal_form.network(each))
        for key, each in project.networks.items()
    }
    ordered = {key: made[key] for key in ("networks", "services") if made.get(key)}
    return ordered, list(_introduced(ordered)) if variables else []


def text(project: Project, form: str, *, variables: bool = True) -> str:
    """Print a project as a file.

    Args:
        form: "yaml" or "json"; in YAML a comment names the variables.
    """
    made, found = document(project, variables=variables)
    printed = normal_form.printed(made, form) if made else "{}\n"
    if form == "json" or not found:
        return printed
    width = max(len(each.name) for each in found)
    lines = [f"#   {each.name:<{width}}  {each.of}; here {each.default}\n" for each in found]
    return "".join(["# Variables of what is another on another host:\n", *lines, printed])


def _introduced(made: Document) -> Iterator[Variable]:
    """Put variables into a document; yield each once.

    Networks whose keys make the same name, as a-b and a_b, have a variable each.
    """
    known: dict[tuple[str, str, str], Variable] = {}
    for value, place, name, of in _places(made):
        if not PLAIN.fullmatch(value):
            continue  # a name with a brace or a dollar sign could not be the word behind :-
        found = known.get((name, value, of)) or Variable(_free(name, known.values()), value, of)
        if (name, value, of) not in known:
            known[name, value, of] = found
            yield found
        place("${" + f"{found.name}:-{value}" + "}")


def _free(name: str, known: Iterable[Variable]) -> str:
    """A name that no other value has."""
    taken, free, number = {each.name for each in known}, name, 2
    while free in taken:
        free, number = f"{name}_{number}", number + 1
    return free


Setter = Callable[[str], None]


def _places(made: Document) -> Iterator[tuple[str, Setter, str, str]]:
    """Yield each value of this host: it, what replaces it, a variable's name, and what it is."""
    for key, net in made.get("networks", {}).items():
        options = net.get("driver_opts", {})
        for option, word in OPTIONS.items():
            if options.get(option):
                what = option.rpartition(".")[2]
                yield (
                    options[option],
                    _setter(options, option),
                    variable(key, word),
                    f"{what} of network {net['name']}",
                )
    for key, service in made.get("services", {}).items():
        for port in service.get("ports", ()):
            if _is_hosts(port.get("host_ip", "")):
                of = f"address that ports of {key} are published at"
                yield port["host_ip"], _setter(port, "host_ip"), variable(key, "HOST_IP"), of


def _setter(mapping: Document, key: str) -> Setter:
    def put(value: str) -> None:
        mapping[key] = value

    return put


def _is_hosts(address: str) -> bool:
    """True for one address of a host, rather than all of them or loopback."""
    ip = ip_address(address) if address else None
    return ip is not None and not (ip.is_unspecified or ip.is_loopback)


def variable(key: str, word: str) -> str:
    """Name a variable: LAN_PARENT is the parent of network lan."""
    made = re.sub(r"[^A-Z0-9]", "_", f"{key}_{word}".upper())
    return f"_{made}" if made[0].isdigit() else made
