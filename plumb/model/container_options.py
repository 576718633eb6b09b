"""The options of one container that are not about its networks.

Ports, capabilities, settings of its namespace.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from plumb.address import IPAddress
from plumb.errors import Invalid
from plumb.model.parse import ENDPOINT, address, host_address, nearest, object_name
from plumb.model.ports import PROTOCOLS, PortBinding

# -- ports ---------------------------------------------------------------


def exposed(text: str) -> tuple[str, ...]:
    """`--expose 80`, `--expose 7000-7005/udp` as "80/tcp" words.

    Docker shows a protocol that it does not know as 0, and opens nothing for it.
    """
    ports, _, protocol = text.partition("/")
    try:
        first, last = port_range(ports, "expose")
    except Invalid:
        raise Invalid(
            f"invalid range format for --expose: {text}, error: {_no_range(ports)}"
        ) from None
    shown = protocol.lower() if protocol.lower() in PROTOCOLS else "0" if protocol else "tcp"
    return tuple(f"{port}/{shown}" for port in range(first, last + 1))


def _no_range(text: str) -> str:
    """Reason for which a text is no range of ports, in the words of Go's strconv."""
    first, _, last = text.partition("-")
    if not text:
        return "empty string specified for ports."
    for word in filter(None, (first, last)):
        if not word.isdecimal():
            return f'strconv.ParseUint: parsing "{word}": invalid syntax'
        if int(word) > 65535:
            return f'strconv.ParseUint: parsing "{word}": value out of range'
    return f"invalid range specified for port: {text}"


def port_range(text: str, what: str) -> tuple[int, int]:
    """`80` or `80-90`."""
    first, dash, last = text.partition("-")
    found = [
        int(word) if re.fullmatch("[0-9]{1,5}", word) else 0
        for word in ([first, last] if dash else [first, first])
    ]
    if not all(0 < port < 65536 for port in found) or found[0] > found[1]:
        raise Invalid(f"invalid {what}: {text}")
    return found[0], found[1]


def published(text: str) -> tuple[PortBinding, ...]:
    """Parse the value of `-p`.

    Its short form is `[[HOSTIP:][HOSTPORT[-END]]:]PORT[-END][/PROTOCOL]`, its long form
    `published=…,target=…`.

    Raises:
        Invalid: with Docker's words.
    """
    if "=" in text:
        return _published_long(text)
    spec, protocol = _with_protocol(text)
    head, _, container = spec.rpartition(":")
    host, _, ports = head.rpartition(":") if ":" in head else ("", "", head)
    if head.endswith(":"):
        host, ports = head[:-1], ""
    if not container:
        raise Invalid(f"no port specified: {text}<empty>")
    return _bindings(container, ports, protocol, _host_address(host))


def _with_protocol(text: str) -> tuple[str, str]:
    """The words before and behind the slash; tcp where none is named. Docker drops a third."""
    spec, *rest = text.split("/")
    return spec, _protocol(rest[0] if rest and rest[0] else "tcp")


def _host_address(text: str) -> IPAddress | None:
    """A host address, IPv6 in brackets or not."""
    if text.startswith("[") != text.endswith("]"):
        raise Invalid(f"invalid IP address: {text}")
    try:
        return host_address(text[1:-1] if text.startswith("[") else text) if text else None
    except ValueError:
        raise Invalid(f"invalid IP address: {text}") from None


def _published_long(text: str) -> tuple[PortBinding, ...]:
    """The long form; as Docker, fields of other names have no effect."""
    fields = {"target": "", "published": "", "protocol": "tcp", "host_ip": ""}
    for word in text.split(","):
        key, equals, value = word.partition("=")
        if not key or not equals:
            raise Invalid(
                f"invalid publish opts format (should be name=value but got '{word}')",
                "it is written published=8080,target=80",
            )
        fields[key] = value
    if not fields["target"]:
        raise Invalid(
            f"no port specified: {fields['published']}:/{fields['protocol']}<empty>",
            "it is written published=8080,target=80",
        )
    where = _host_address(fields["host_ip"])
    return _bindings(fields["target"], fields["published"], _protocol(fields["protocol"]), where)


def _bindings(
    container: str, host: str, protocol: str, where: IPAddress | None
) -> tuple[PortBinding, ...]:
    first, last = port_range(container, "containerPort")
    if host in ("", "0"):
        return tuple(PortBinding(port, protocol, where) for port in range(first, last + 1))
    low, high = port_range(host, "hostPort")
    if first == last:
        return (PortBinding(first, protocol, where, low, high),)
    if high - low != last - first:
        raise Invalid(
            f"invalid ranges specified for container and host Ports: {container} and {host}"
        )
    return tuple(
        PortBinding(first + i, protocol, where, low + i, low + i) for i in range(last - first + 1)
    )


def _protocol(text: str) -> str:
    if text.lower() not in PROTOCOLS:
        raise Invalid(f"invalid proto: {text}")
    return text.lower()


# -- containers ---------------------------------------------------------------


CAPABILITIES = (
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
    "PERFMON",
    "BPF",
    "CHECKPOINT_RESTORE",
)
"""In the kernel's numbering, from 0 (linux/capability.h)."""

DEFAULT_CAPABILITIES = frozenset(
    {
        "CHOWN",
        "DAC_OVERRIDE",
        "FSETID",
        "FOWNER",
        "MKNOD",
        "NET_RAW",
        "SETGID",
        "SETUID",
        "SETFCAP",
        "SETPCAP",
        "NET_BIND_SERVICE",
        "SYS_CHROOT",
        "KILL",
        "AUDIT_WRITE",
    }
)
"""What Docker leaves to root in a container."""


def capability(text: str) -> str:
    """A capability by name, with or without CAP_, or ALL."""
    name = text.upper().removeprefix("CAP_")
    if name != "ALL" and name not in CAPABILITIES:
        raise Invalid(
            f'invalid CapAdd: unknown capability: "CAP_{name}"', nearest(name, CAPABILITIES)
        )
    return name


def capabilities(
    add: Iterable[str], drop: Iterable[str], privileged: bool = False
) -> tuple[str, ...]:
    """Capabilities of a command: Docker's default set, less what is dropped, plus what is added."""
    if privileged:
        return CAPABILITIES
    add, drop = set(add), set(drop)
    start = set(CAPABILITIES) if "ALL" in add else set(DEFAULT_CAPABILITIES)
    if "ALL" in drop:
        start = set()
    held = (start - drop) | (add - {"ALL"})
    if "ALL" in add:
        held |= set(CAPABILITIES) - drop
    return tuple(name for name in CAPABILITIES if name in held)


UNDOING = ("SYS_ADMIN", "SYS_MODULE", "SYS_PTRACE", "SYS_RAWIO")
"""Capabilities that undo a read-only view of the host.

They mount again, load code into the kernel, enter the host's /proc/1/root, and write to memory.
"""


def undoing(add: Iterable[str], drop: Iterable[str], privileged: bool) -> str:
    """First capability held with which a command could write to the host's files again; or ""."""
    held = set(capabilities(add, drop, privileged))
    return next((name for name in UNDOING if name in held), "")


def link(text: str) -> tuple[str, str]:
    """`--link NAME[:ALIAS]`: whom, and what it is called there.

    Also the form in which inspect shows it, `/NAME:/OWN/ALIAS`.

    Raises:
        Invalid: with Docker's words.
    """
    if not text:
        raise Invalid("empty string specified for links")
    if text.count(":") > 1:
        raise Invalid(f"bad format for links: {text}")
    name, _, other = text.partition(":")
    if name.startswith("/"):
        other = other.rpartition("/")[2]
    return object_name(name, "link"), _link_alias(other or name.removeprefix("/"))


def _link_alias(text: str) -> str:
    """A name that a hosts file and the names of environment variables can have."""
    if not re.fullmatch(r"[A-Za-z0-9_]([A-Za-z0-9_.-]{0,252})", text) or ".." in text:
        raise Invalid(f"invalid alias {text!r}: it is a DNS name")
    return text


def extra_host(text: str) -> tuple[str, str]:
    """`--add-host NAME:ADDRESS` or `NAME=ADDRESS`: a line for the hosts file.

    An IPv6 address may be in brackets.

    The address stays as it was written, as inspect shows it. "host-gateway" stands for the host.

    Raises:
        Invalid: with Docker's words.
    """
    name, separator, ip = text.partition("=" if "=" in text else ":")
    if not separator or not name or ":" in name or not name.isprintable() or len(name) > 253:
        raise Invalid(f'bad format for add-host: "{text}"', "it is written NAME:IP")
    if ip == "host-gateway":
        return name, ip
    if len(ip) > 2 and ip[0] == "[" and ip[-1] == "]":
        ip = ip[1:-1]
    try:
        address(ip)
    except Invalid:
        raise Invalid(f'invalid IP address in add-host: "{ip}"') from None
    return name, ip


def name_server(text: str) -> IPAddress:
    """`--dns 192.0.2.1`: the address of a name server.

    Raises:
        Invalid: it is none.
    """
    try:
        return address(text)
    except Invalid:
        raise Invalid(f"IP address is not correctly formatted: {text}") from None


def container_sysctl(text: str) -> tuple[str, str]:
    """`--sysctl net.ipv4.ip_forward=1`: a setting of the sandbox's own namespace, so one under net.

    Raises:
        Invalid: it is none, or one interface's, which belongs to the network's driver options.
    """
    name, equals, value = text.partition("=")
    words = name.replace("/", ".").split(".")
    if (
        not equals
        or words[0] != "net"
        or len(words) < 3
        or not re.fullmatch(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)+", ".".join(words))
    ):
        raise Invalid(
            f"sysctl '{text}' is not allowed",
            "only settings of the network namespace, net.…=VALUE, can be given",
        )
    if (
        len(words) == 5
        and words[2] in ("conf", "neigh")
        and words[3] not in ("all", "default", "lo")
    ):
        raise Invalid(
            f"interface specific sysctl setting {name!r} must be supplied using driver option "
            f"'{ENDPOINT}sysctls'"
        )
    return "/".join(words), value
