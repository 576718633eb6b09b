"""Resolve: what a name means to somebody in a namespace.

By a hosts file first, then by the name servers of a resolv.conf (RFC 1035).
"""

from __future__ import annotations

import os
from ipaddress import ip_address

from plumb.address import IPAddress
from plumb.kernel.foreign import files_inside
from plumb.kernel.netns.namespaces import entered
from plumb.model.net import resolv_conf

SECONDS = 1.0


def addresses(name: str, ns: str, folder: str, versions: tuple[int, ...]) -> list[IPAddress]:
    """The addresses of a name, the preferred family's first; none where nobody knows it.

    Args:
        ns: the namespace's file, "" for the host's own.
        folder: where its hosts file and its resolv.conf lie.
        versions: the address families to ask for.
    """
    found = [ip for ip in _by_file(name, f"{folder}/hosts") if ip.version in versions]
    return sorted(
        found or _by_servers(name, ns, f"{folder}/resolv.conf", versions),
        key=lambda ip: versions.index(ip.version),
    )


def _by_file(name: str, path: str) -> list[IPAddress]:
    found = []
    for line in read_name_file(path).splitlines():
        words = line.partition("#")[0].split()
        if name in words[1:]:
            try:
                found.append(ip_address(words[0]))
            except ValueError:
                continue
    return found


def _by_servers(name: str, ns: str, path: str, versions: tuple[int, ...]) -> list[IPAddress]:
    import dns.exception
    import dns.message
    import dns.query
    import dns.rdatatype

    servers = resolv_conf.parse(read_name_file(path)).servers
    found = []
    for version in versions:
        question = dns.message.make_query(
            f"{name}.".replace("..", "."), "A" if version == 4 else "AAAA"
        )
        for server in servers:
            try:
                with entered(ns):
                    answer = dns.query.udp(question, server, timeout=SECONDS)
            except (dns.exception.DNSException, OSError):
                continue
            found += [
                ip_address(record.to_text())
                for each in answer.answer
                for record in each
                if record.rdtype in (dns.rdatatype.A, dns.rdatatype.AAAA)
            ]
            break
    return found


def read_name_file(path: str) -> str:
    """The text of a hosts file or a resolv.conf; empty where there is none."""
    if (root := files_inside.root_of(path)) is not None:
        return files_inside.read(*root)
    if not os.path.exists(path):
        return ""
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.read()
