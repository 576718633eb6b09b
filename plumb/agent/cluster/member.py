"""The node in its cluster: what it is there, and becomes.

    nothing ──init──▶ manager ◀──promote── worker ◀──join── nothing
                         └────demote────────▶ └──leave──▶ nothing

What the node is to be stands in the cluster's store, and managers tell it; this class makes it so,
and writes down what it is. A step that fails is tried again when the lease is renewed.
"""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, replace
from datetime import UTC, datetime
from typing import Any

from plumb.agent.cluster.certificates import der, pki, signing, tls
from plumb.agent.cluster.certificates.authority import trust_digest
from plumb.agent.cluster.host_networks import HostNetworks
from plumb.agent.cluster.identity import Membership, Papers
from plumb.agent.cluster.manager.etcd_member import STATE_EXISTING
from plumb.agent.cluster.manager.parts import INITIAL, PEER, PEER_AUTHORITY, Manager, write_store
from plumb.agent.cluster.managers import PATIENCE, Managers
from plumb.agent.cluster.published import Published
from plumb.agent.cluster.session import BEAT, Session
from plumb.agent.cluster.tasks import questions
from plumb.agent.cluster.tasks.runner import TaskRunner
from plumb.errors import KernelRefused, PlumbError, Unsupported
from plumb.kernel.cluster.words import NOT_IN_SWARM
from plumb.model.cluster import Encryption, Node, NodeRole, RemoteEndpoint
from plumb.model.service.assignment import Assignment
from plumb.model.service.virtual import VirtualService
from plumb.store import codec

NODE, TRUSTED = "node.pem", "ca.pem"
"""Files: the key and the certificate of this node; the certificates of trusted authorities."""
END_OF_CERTIFICATE = "-----END CERTIFICATE-----\n"
VOTE_TRIES, VOTE_PAUSE = 150, 0.2
"""Tries to get a vote in etcd, and seconds between them: a new member copies the data first."""
SETTLED = 60.0
"""Seconds that `init` and `join` wait for the first lease."""
COMPARE = 60.0
"""Seconds between two looks at what is reserved for this node."""
RENEW_CHECK = 3600.0
"""Seconds between two looks at how long the certificate is valid."""


class Member:
    """The node; see the module.

    Args:
        papers: its files.
        complain: takes lines for the log.
        host: the cluster's networks on this host.
    """

    def __init__(self, papers: Papers, complain: Callable[[str], None], host: HostNetworks) -> None:
        self.papers, self.complain, self.host = papers, complain, host
        self.kept = Published(papers.endpoints)
        self.changing = threading.Lock()
        self.ending = threading.Event()
        self.membership: Membership | None = None
        self.session: Session | None = None
        self.runner: TaskRunner | None = None
        self.manager: Manager | None = None
        self.removed: PlumbError | None = None
        self.node: Node | None = None

    # -- begin and end of the process ------------------------------------------------------

    def resume(self) -> None:
        """Go on as the papers say; what needs other nodes is done in threads."""
        self.membership = self.papers.load()
        if self.membership is None:
            return
        if self.membership.role is NodeRole.MANAGER:
            self.manager = self.new_manager(self.membership)
            self.manager.start_etcd()
            self.manager.serve()
        self.open_session()

    def close(self) -> None:
        """End all that runs; the papers stay."""
        self.ending.set()
        for part in (self.runner, self.session):
            if part is not None:
                part.close()
        if self.manager is not None:
            self.manager.close()

    def new_manager(self, membership: Membership, *options: str) -> Manager:
        return Manager(self.papers, membership, self._elsewhere, self.complain, options)

    def open_session(self) -> None:
        membership = self.the_membership()
        managers = Managers(membership.managers, self._client_context)
        self.session = Session(membership.node, managers, self.kept, self, self.complain)
        self.runner = TaskRunner(self.host, self._node, self.ask, self.complain)
        self.runner.start()
        self.session.start()
        for run in (self._renewals, self._comparisons):
            threading.Thread(target=run, name=run.__name__, daemon=True).start()

    def the_membership(self) -> Membership:
        if self.membership is None:
            raise Unsupported(NOT_IN_SWARM)
        return self.membership

    def _client_context(self) -> Any:
        return tls.client(self.papers.read(TRUSTED), self.papers.certificate)

    def forget(self) -> None:
        """End all that runs, and forget the cluster."""
        for part in (self.runner, self.session):
            if part is not None:
                part.close()
        if self.manager is not None:
            self.manager.erase()
        self.session = self.runner = self.manager = self.membership = self.removed = self.node = (
            None
        )
        self.papers.erase()

    def ask(
        self, name: str, body: dict[str, Any], *, but: str = "", patience: float = PATIENCE
    ) -> Any:
        """Ask the managers for something, as this node.

        Raises:
            Unsupported: this node is in no cluster.
            PlumbError: as they refuse it, or do not answer.
        """
        session = self.session
        if session is None:
            raise Unsupported(NOT_IN_SWARM)
        if self.removed is not None:
            raise self.removed
        if session.lost or not patience:  # commands are not held up, each for as long as the first
            return session.managers.ask(name, body, 2 * BEAT, but, patience=0)
        return session.managers.ask(name, body, but=but, patience=patience)

    def _elsewhere(self, name: str, body: dict[str, Any]) -> Any:
        return self.ask(name, body, but=self.the_membership().endpoint)

    def wait_lease(self) -> None:
        for _ in range(int(SETTLED / 0.02)):
            if self.session is not None and self.session.connected:
                return
            self.ending.wait(0.02)
        said = self.session.failure if self.session else ""
        self.complain(f"no lease after {SETTLED:.0f} s: {said}")

    # -- what the managers tell ------------------------------------------------------------

    def on_remote(self, network: str, endpoints: tuple[RemoteEndpoint, ...]) -> None:
        """Pass endpoints of other nodes on to this host."""
        self.host.follow(network, endpoints)

    def on_services(self, network: str, services: tuple[VirtualService, ...]) -> None:
        """Have a network's services balanced on this host."""
        self.host.balance(network, services)

    def on_tasks(self, tasks: tuple[Assignment, ...]) -> None:
        """Pass this node's tasks on to what runs them."""
        if self.runner is not None:
            self.runner.assign(tasks)

    def on_ingress(self, network: str) -> None:
        """Have this host's part in the ingress network built."""
        self.host.follow_ingress(network)

    def on_question(self, ident: str, question: dict[str, Any]) -> None:
        """Answer a question of a manager, in a thread."""
        questions.answer(self.ask, self.host, ident, question)

    def on_keys(self, keys: Encryption) -> None:
        """Use these keys for encrypted networks on this host."""
        self.host.encrypt(keys)

    def on_node(self, node: Node) -> None:
        """Become what the managers say that this node is."""
        self.node, self.removed = node, None
        membership = self.membership
        if membership is None or node.role is membership.role is self._certified():
            return
        threading.Thread(target=self._change_role, args=(node.role,), daemon=True).start()

    def on_managers(self, places: tuple[str, ...]) -> None:
        """Write down which managers there are."""
        membership = self.membership
        if membership is not None and set(places) != set(membership.managers):
            self._note(managers=places)

    def on_authorities(self, digest: str) -> None:
        """Trust other authorities, and have the key signed by the present one."""
        if digest == trust_digest(self._trusted()) or not self.changing.acquire(blocking=False):
            return
        try:
            self._trust(self.ask("authorities", {}))
            self._renew()
        finally:
            self.changing.release()

    def on_removed(self, reason: PlumbError) -> None:
        """Take note that the cluster does not know this node any more."""
        if self.removed is None:
            self.complain(f"the managers refuse this node: {reason}")
        self.removed = reason

    def _note(self, **changed: Any) -> None:
        self.membership = replace(self.the_membership(), **changed)
        self.papers.save(self.membership)

    def _comparisons(self) -> None:
        """Give back, now and then, what was reserved for endpoints that never came; in a thread.

        A command that is killed between the two leaves such; and one that took a container away
        while this process did not run could not withdraw its endpoint.
        """
        session, said = self.session, ""
        while self.session is session:
            try:
                self.compare()
                said = ""
            except PlumbError as error:
                if str(error) != said:
                    said = str(error)
                    self.complain(f"cannot compare this node's addresses: {error}")
            if self.ending.wait(COMPARE):
                return

    def compare(self) -> None:
        """Withdraw what is published and not here, and give back the addresses of what is not.

        Raises:
            PlumbError: no manager answers, or the host's record cannot be read.
        """
        if withdrawn := self.host.withdrawn([end.id for end in self.kept.all()]):
            self.complain(f"{len(withdrawn)} endpoints are published and not here: withdrawn")
            self.withdraw(withdrawn)
        reserved = [ident for ident in self.ask("reservations", {}) if not self.kept.get(ident)]
        if reserved and (unused := self.host.unknown(reserved)):
            self.complain(f"{len(unused)} endpoints have addresses and are not here: given back")
            self.ask("release", {"endpoints": unused})

    # -- certificates ----------------------------------------------------------------------

    def _trusted(self) -> list[str]:
        parts = self.papers.read(TRUSTED).split(END_OF_CERTIFICATE)
        return [part + END_OF_CERTIFICATE for part in parts if part.strip()]

    def _trust(self, trusted: list[str]) -> None:
        self.papers.write(TRUSTED, "".join(trusted))
        self._reload()

    def _renew(self) -> None:
        """Have the node's key signed anew."""
        key = self.papers.read(NODE).partition("-----BEGIN CERTIFICATE-----")[0]
        answer = self.ask("renew", {"request": signing.request(key)})
        self.papers.write(NODE, key + answer["certificate"])
        self._trust(answer["authorities"])

    def _certified(self) -> NodeRole:
        """The role that this node's certificate is for."""
        certificate = ssl.PEM_cert_to_DER_cert(pki.first_certificate(self.papers.read(NODE)))
        manager = pki.SERVER_NAMES[NodeRole.MANAGER].encode() in certificate
        return NodeRole.MANAGER if manager else NodeRole.WORKER

    def _reload(self) -> None:
        """Use the new papers in connections to come."""
        if self.session is not None:
            self.session.managers.renew()
        if self.manager is not None:
            self.manager.reload()

    def _renewals(self) -> None:
        """Renew the certificate after half of its life; in a thread."""
        session = self.session
        while self.session is session and not self.ending.wait(RENEW_CHECK):
            begin, end = der.validity(pki.first_certificate(self.papers.read(NODE)))
            if datetime.now(UTC) > begin + (end - begin) / 2:
                try:
                    with self.changing:
                        self._renew()
                except PlumbError as error:
                    self.complain(f"cannot renew the certificate, valid until {end}: {error}")

    # -- roles -----------------------------------------------------------------------------

    def _change_role(self, role: NodeRole) -> None:
        """Become a manager or a worker; in a thread."""
        if not self.changing.acquire(blocking=False):
            return  # it is under way
        try:
            if self.membership is not None and self.membership.role is not role:
                (self.rise if role is NodeRole.MANAGER else self._descend)()
            elif self.membership is not None and self._certified() is not role:
                self._renew()  # it has changed its role, and no manager signed for the new one
        except (PlumbError, OSError) as error:
            self.complain(f"cannot become a {role}: {error}")
        finally:
            self.changing.release()

    def rise(self) -> None:
        """Become a manager: a member of etcd, first without a vote, then port 2377.

        Raises:
            KernelRefused: etcd does not start, or does not get its vote.
        """
        key = signing.new_key()
        answer = self.ask("manage", {"request": signing.request(key)})
        if "store" in answer:
            write_store(self.papers, answer["store"])
            self.membership = replace(
                self.the_membership(), store=tuple(map(str, answer["store"]["urls"]))
            )
        else:
            self.papers.write(PEER, key + answer["certificate"])
            self.papers.write(PEER_AUTHORITY, answer["authority"])
            self.papers.write(INITIAL, f"{STATE_EXISTING} {answer['initial']}")
        manager = self.new_manager(self.the_membership())
        try:
            manager.start_etcd()
            manager.wait_etcd()
            if not self.the_membership().store:
                self._get_vote()
            self._renew()
            manager.serve()
        except BaseException:
            with suppress(PlumbError):
                self.ask("manage-undo", {}, but=self.the_membership().endpoint)
            manager.erase()
            raise
        self.manager = manager
        self._note(role=NodeRole.MANAGER)

    def _get_vote(self) -> None:
        for tries_left in reversed(range(VOTE_TRIES)):
            try:
                self.ask("vote", {})
                return
            except KernelRefused:
                if not tries_left:
                    raise
            self.ending.wait(VOTE_PAUSE)

    def _descend(self) -> None:
        """Become a worker: port 2377 closes, etcd's member ends, its data goes."""
        manager, self.manager = self.manager, None
        self._note(role=NodeRole.WORKER)
        if manager is not None:
            manager.erase()
        self._renew()

    # -- what this host's commands ask -------------------------------------------------------

    def publish(self, ends: list[RemoteEndpoint]) -> None:
        """Let other nodes send to endpoints of this one, now or when a manager answers."""
        if self.session is None:
            raise Unsupported(NOT_IN_SWARM)
        self.session.publish(ends)

    def withdraw(self, idents: list[str]) -> None:
        """Let other nodes send to these endpoints no more, now or when a manager answers."""
        if self.session is not None:
            self.session.withdraw(idents)

    def published(self) -> tuple[RemoteEndpoint, ...]:
        """List what this node publishes."""
        return self.kept.all()

    def _node(self) -> Node:
        """Return this node as the managers have it, or as it is known here before that."""
        here = self.the_membership()
        return self.node or Node(
            here.node, socket.gethostname(), here.address, here.data_path, here.role
        )

    def status(self) -> dict[str, Any]:
        """Tell what this node is, without asking anybody."""
        membership, session, manager = self.membership, self.session, self.manager
        if membership is None or session is None:
            return {"node": None}
        etcd = manager.member.pid if manager is not None and manager.member is not None else 0
        return {
            "node": codec.plain(self._node()),
            "swarm": membership.swarm,
            "role": membership.role.value,
            "tunnel_port": membership.tunnel_port,
            "connected": session.connected,
            "failure": str(self.removed or session.failure),
            "managers": list(session.managers.places),
            "removed": self.removed is not None,
            "etcd": etcd,
            "traffic": asdict(manager.etcd.traffic) if manager is not None else None,
        }
