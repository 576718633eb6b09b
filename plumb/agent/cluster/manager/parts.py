"""A manager's part of the process: etcd's member, the feed, port 2377."""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping
from ipaddress import ip_address
from typing import Any

from plumb.address import IPAddress
from plumb.agent.cluster.certificates import tls
from plumb.agent.cluster.identity import Membership, Papers
from plumb.agent.cluster.manager import etcd_member
from plumb.agent.cluster.manager.api import Api
from plumb.agent.cluster.manager.etcd_member import EtcdMember, MemberFiles
from plumb.agent.cluster.manager.feed import Feed
from plumb.agent.cluster.manager.housekeeping import Housekeeping
from plumb.agent.cluster.manager.listener import Listener
from plumb.agent.cluster.manager.orchestrator.leader import Leader
from plumb.agent.cluster.manager.requests import REQUESTS
from plumb.agent.cluster.state.etcd import Etcd
from plumb.agent.cluster.state.etcd.transport import TlsUrls, UnixSocket
from plumb.errors import KernelRefused, PlumbError
from plumb.model.cluster import JOIN_PORT

INITIAL = "initial"
"""File with the members that etcd starts with for the first time."""
PEER, PEER_AUTHORITY = "peer.pem", "peer-ca.pem"
STORE = {"certificate": "store.pem", "key": "store-key.pem", "ca": "store-ca.pem"}
"""Files of a client of an existing store."""
READY = 60.0
"""Seconds that etcd may take to answer for the first time."""


class Manager:
    """See the module.

    Args:
        papers: this node's files.
        membership: its place in the cluster.
        elsewhere: asks another manager.
        complain: takes lines for the log.
        options: more of etcd's.
    """

    def __init__(
        self,
        papers: Papers,
        membership: Membership,
        elsewhere: Callable[[str, dict[str, Any]], Any],
        complain: Callable[[str], None],
        options: tuple[str, ...] = (),
    ) -> None:
        self._papers, self._membership = papers, membership
        self._complain, self._elsewhere = complain, elsewhere
        self.member = None if membership.store else self._member(options)
        self.etcd = Etcd(self._address())
        self._feed: Feed | None = None
        self._housekeeping: Housekeeping | None = None
        self._leader: Leader | None = None
        self.listener: Listener | None = None

    def _member(self, options: tuple[str, ...]) -> EtcdMember:
        files = MemberFiles(
            self._papers.run,
            self._papers.path("etcd"),
            self._papers.path(PEER),
            self._papers.path(PEER),
            self._papers.path(PEER_AUTHORITY),
        )
        state, _, initial = self._papers.read(INITIAL).partition(" ")
        given = etcd_member.arguments(
            files,
            self._membership.node,
            self._membership.address,
            _local(self._membership.address),
            initial,
            state,
        )
        return EtcdMember(files, [*given, *options], self._complain)

    def _address(self) -> UnixSocket | TlsUrls:
        if self.member is not None:
            return UnixSocket(self.member.files.socket)
        ca, certificate, key = (
            self._papers.path(STORE[name]) for name in ("ca", "certificate", "key")
        )
        return TlsUrls(self._membership.store, ca, certificate, key)

    def start_etcd(self) -> None:
        """Start etcd's member, where there is one.

        Raises:
            Unsupported: etcd is not installed.
        """
        if self.member is not None:
            self.member.start()

    def wait_etcd(self) -> None:
        """Wait until etcd answers.

        Raises:
            KernelRefused: it does not.
        """
        if self.member is not None:
            etcd_member.wait_ready(self._answers, self.member, READY)
        else:
            self.etcd.status()

    def _answers(self) -> bool:
        try:
            return self.etcd.status().member != 0
        except PlumbError:
            return False

    def serve(self) -> None:
        """Serve port 2377.

        Raises:
            KernelRefused: the port is taken.
        """
        self._feed = Feed(self.etcd, self._complain)
        api = Api(
            self._membership.node,
            self.etcd,
            self._feed,
            self._store_papers(),
            self._elsewhere,
            REQUESTS,
        )
        host, port = listening(self._membership)
        try:
            self.listener = Listener(host, port, self._context(), api, self._complain)
        except OSError as error:
            raise KernelRefused(
                f"listen on TCP port {port} for nodes",
                error.errno or 0,
                hint="'ss -ltnp' shows who has it; --listen-addr takes another address",
            ) from None
        self._leader = lead = Leader(self.etcd, self._membership.node, self._complain)
        self._housekeeping = Housekeeping(self.etcd, lambda: lead.leads, self._complain)
        self._feed.on_change = self._leader.changed
        self._feed.start()
        self._leader.start()
        self._housekeeping.start()
        self.listener.start()

    def _context(self) -> Any:
        return tls.server(self._papers.certificate, self._papers.read("ca.pem"))

    def reload(self) -> None:
        """Show the new certificate, and trust the new authorities, in connections to come."""
        if self.listener is not None:
            self.listener.context = self._context()

    def _store_papers(self) -> dict[str, Any]:
        """Papers that another manager needs for an existing store."""
        if not self._membership.store:
            return {}
        files = {name: self._papers.read(file) for name, file in STORE.items()}
        return {"urls": list(self._membership.store), **files}

    def close(self) -> None:
        """Stop all of it."""
        if self.listener is not None:
            self.listener.close()
        if self._leader is not None:
            self._leader.close()
        if self._housekeeping is not None:
            self._housekeeping.close()
        if self._feed is not None:
            self._feed.close()
        if self.member is not None:
            self.member.stop()
        self.etcd.close()

    def erase(self) -> None:
        """Stop, and remove etcd's data and the papers of a manager."""
        self.close()
        if self.member is not None:
            self.member.erase()
        for name in (INITIAL, PEER, PEER_AUTHORITY, *STORE.values()):
            self._papers.remove(name)


def write_store(papers: Papers, given: Mapping[str, Any]) -> None:
    """Write down what a client of an existing store needs."""
    for name, file in STORE.items():
        papers.write(file, str(given[name]))


def listening(membership: Membership) -> tuple[str, int]:
    """Address and port to listen on; the address is empty for all."""
    if not membership.listen:
        return "", JOIN_PORT
    host, port = tls.split(membership.listen)
    return ("" if host in ("0.0.0.0", "::") else host), port


def _local(address: IPAddress) -> IPAddress:
    """The address to listen on for etcd's peers: the advertised one, or all if it is not local."""
    family = socket.AF_INET6 if address.version == 6 else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((str(address), 0))
        except OSError:
            return ip_address("::" if address.version == 6 else "0.0.0.0")
    return address
