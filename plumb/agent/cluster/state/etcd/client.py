"""The client of etcd v3's JSON gateway, by the standard library's HTTP.

    etcd = Etcd(UnixSocket("/var/lib/plumb/cluster/etcd:0"))
    etcd.txn([absent("/plumb/x")], [Put("/plumb/x", "1")]).succeeded

The gateway is the same etcd over HTTP/1.1 and JSON; no library for gRPC and protobuf is loaded for
it. Any thread may use a client. What only reads is asked again where a connection broke; what
writes is repeated only if it was never sent, as nobody knows whether a lost answer was a yes.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from threading import Lock

from plumb.agent.cluster.state.etcd import refusals
from plumb.agent.cluster.state.etcd.contention import Turns
from plumb.agent.cluster.state.etcd.operations import (
    Compare,
    Delete,
    Get,
    Json,
    KeyValue,
    Operation,
    Put,
    key_value,
)
from plumb.agent.cluster.state.etcd.transport import Address, Pool
from plumb.frozen import frozen

TIMEOUT = 10.0
"""Seconds for an answer: etcd itself gives up after 7 where it has no quorum."""
PATIENCE = 3.0
"""Seconds for which a client waits until an etcd that was killed is there again."""

PAUSE = 0.05
"""Seconds before an etcd that is not there is tried again."""


@frozen
class Listing:
    """Answer to a `Get`: keys in their order, and the revision at which they were read.

    Attributes:
        count: how many there are, more than `keys` where a limit was given.
    """

    revision: int
    keys: tuple[KeyValue, ...]
    count: int

    @property
    def first(self) -> KeyValue | None:
        """The key that was asked for, None if it is not there."""
        return self.keys[0] if self.keys else None


@frozen
class TxnAnswer:
    """Answer to a transaction: its revision, and the listings of its `Get`s in their order."""

    succeeded: bool
    revision: int
    listings: tuple[Listing, ...]


@frozen
class Status:
    """State of the member that answers; `leader` is 0 while there is none."""

    member: int
    leader: int
    revision: int
    version: str
    size: int


@dataclass
class Traffic:
    """Count of what a client has sent and received, in requests and bytes of HTTP bodies."""

    requests: int = 0
    sent: int = 0
    received: int = 0


class Etcd:
    """A client; see the module.

    Args:
        address: where etcd is: a `transport.UnixSocket` or `transport.TlsUrls`.
        timeout: seconds for one answer.
        patience: seconds to wait for an etcd that is not there.

    Raises, by any of its requests:
        EtcdAway: no etcd is there. NoQuorum: too few of its members are.
        Unanswered: a write was sent, and nobody knows what became of it.
        EtcdRefused: etcd's own refusals. LeaseGone, Compacted: two of these.
    """

    def __init__(
        self, address: Address, timeout: float = TIMEOUT, patience: float = PATIENCE
    ) -> None:
        self.address = address
        self.traffic = Traffic()
        self.turns = Turns()
        self._patience = patience
        self._pool = Pool(address, timeout)
        self._counting = Lock()

    def close(self) -> None:
        """Close the idle connections; the client opens new ones when it is used again."""
        self._pool.close()

    # -- keys -------------------------------------------------------------------------

    def get(self, key: str, revision: int = 0) -> KeyValue | None:
        """Return a key, None if it is not there."""
        return self.range(Get(key, revision=revision)).first

    def range(self, wanted: Get) -> Listing:
        """Return a range of keys."""
        return _listing(self.read("kv/range", wanted.json(), f"read {wanted.key}"))

    def read_all(self, wanted: Sequence[Get]) -> TxnAnswer:
        """Return several ranges, all at the same revision."""
        body = {"success": [one.request() for one in wanted]}
        return _txn_answer(self.read("kv/txn", body, f"read {wanted[0].key}"))

    def put(self, key: str, value: str, lease: int = 0) -> int:
        """Write a key; returns the revision."""
        answer = self.write("kv/put", Put(key, value, lease).json(), f"write {key}")
        return _revision(answer)

    def delete(self, wanted: Delete) -> int:
        """Remove keys; returns how many there were."""
        answer = self.write("kv/deleterange", wanted.json(), f"remove {wanted.key}")
        return int(answer.get("deleted", 0))

    def txn(
        self,
        compares: Sequence[Compare],
        success: Sequence[Operation],
        failure: Sequence[Operation] = (),
    ) -> TxnAnswer:
        """Carry out `success` if all comparisons hold, else `failure`."""
        body = {
            "compare": [one.json() for one in compares],
            "success": [one.request() for one in success],
            "failure": [one.request() for one in failure],
        }
        return _txn_answer(self.write("kv/txn", body, f"write {_named(compares, success)}"))

    def compact(self, revision: int) -> None:
        """Let etcd forget what was before a revision."""
        self.write("kv/compaction", {"revision": str(revision)}, f"compact to {revision}")

    # -- leases -----------------------------------------------------------------------

    def lease_grant(self, ttl: int) -> int:
        """Make a lease of that many seconds; returns its id."""
        answer = self.write("lease/grant", {"TTL": str(ttl), "ID": "0"}, "grant a lease")
        return int(answer["ID"])

    def lease_keepalive(self, lease: int) -> int:
        """Renew a lease; returns the seconds that it has again.

        Raises:
            LeaseGone: it has expired.
        """
        asked = f"renew lease {lease}"
        answer = self.read("lease/keepalive", {"ID": str(lease)}, asked).get("result", {})
        ttl = int(answer.get("TTL", 0))
        if ttl <= 0:
            raise refusals.refused(asked, "etcdserver: requested lease not found", 5)
        return ttl

    def lease_revoke(self, lease: int) -> None:
        """End a lease, and remove the keys that go with it; no error if it is gone already."""
        try:
            self.write("lease/revoke", {"ID": str(lease)}, f"revoke lease {lease}")
        except refusals.LeaseGone:
            pass

    def lease_ttl(self, lease: int) -> int:
        """Return the seconds that a lease has left, 0 or less if it is gone."""
        answer = self.read("lease/timetolive", {"ID": str(lease)}, f"look at lease {lease}")
        return int(answer.get("TTL", 0))

    # -- the member -------------------------------------------------------------------

    def status(self) -> Status:
        """Return the state of the member that answers, which it knows without a quorum."""
        answer = self.read("maintenance/status", {}, "ask for the state of etcd")
        return Status(
            int(answer["header"]["member_id"]),
            int(answer.get("leader", 0)),
            int(answer["header"].get("revision", 0)),
            answer.get("version", ""),
            int(answer.get("dbSize", 0)),
        )

    # -- requests ---------------------------------------------------------------------

    def read(self, path: str, body: Json, asked: str) -> Json:
        """Ask what changes nothing, and again for as long as patience is where no answer came.

        Args:
            path: the gateway's, below /v3/.
            asked: what it is for, in an error's words, as in "read /plumb/swarm".
        """
        deadline = time.monotonic() + self._patience
        while True:
            try:
                return self._ask(path, body, asked)
            except refusals.NoQuorum:
                raise
            except refusals.Unanswered:
                if time.monotonic() > deadline:
                    raise
            time.sleep(PAUSE)

    def write(self, path: str, body: Json, asked: str) -> Json:
        """Ask for a change, once."""
        return self._ask(path, body, asked)

    def stream(self, asked: str) -> HTTPConnection:
        """Open a connection for a watch, whose answers may come at any time."""
        connection = self._connect(asked)
        assert connection.sock
        connection.sock.settimeout(None)
        return connection

    def _connect(self, asked: str) -> HTTPConnection:
        """Take a connection, and wait for an etcd that is not there for as long as patience is."""
        deadline = time.monotonic() + self._patience
        while True:
            try:
                return self._pool.take()
            except OSError as error:
                if time.monotonic() > deadline:
                    raise refusals.away(asked, self.address, error) from error
            time.sleep(PAUSE)

    def _ask(self, path: str, body: Json, asked: str) -> Json:
        sent = json.dumps(body, separators=(",", ":")).encode()
        connection = self._connect(asked)
        try:
            connection.request("POST", f"/v3/{path}", sent)
            response = connection.getresponse()
            received = response.read()
        except (OSError, HTTPException) as error:
            connection.close()
            raise self._unanswered(asked, error) from error
        self._pool.give_back(connection)
        self._count(len(sent), len(received))
        return checked(received, asked)

    def _count(self, sent: int, received: int) -> None:
        with self._counting:
            self.traffic.requests += 1
            self.traffic.sent += sent
            self.traffic.received += received

    def _unanswered(self, asked: str, error: Exception) -> refusals.Unanswered:
        """Tell a member without a leader from one that is slow or was killed."""
        if isinstance(error, TimeoutError) and asked != "ask for the state of etcd":
            try:
                if not self.status().leader:
                    return refusals.no_quorum(asked, "the member that is here has no leader")
            except refusals.EtcdAway:
                pass
        return refusals.unanswered(asked, self.address, error or type(error).__name__)


def checked(received: bytes, asked: str) -> Json:
    """Parse an answer.

    Raises:
        EtcdRefused: it is an error.
    """
    try:
        answer: Json = json.loads(received)
    except ValueError as error:
        said = received[:80].decode(errors="replace")
        raise refusals.refused(asked, f"no JSON: {said!r}", 0) from error
    wrong = answer.get("error")
    if isinstance(wrong, dict):  # of a stream
        raise refusals.refused(asked, wrong.get("message", ""), int(wrong.get("grpc_code", 0)))
    if wrong:
        raise refusals.refused(asked, str(answer.get("message", wrong)), int(answer.get("code", 0)))
    return answer


def _named(compares: Sequence[Compare], success: Sequence[Operation]) -> str:
    return [*success, *compares][0].key


def _revision(answer: Json) -> int:
    return int(answer.get("header", {}).get("revision", 0))


def _listing(answer: Json) -> Listing:
    keys = tuple(key_value(found) for found in answer.get("kvs", ()))
    return Listing(_revision(answer), keys, int(answer.get("count", 0)))


def _txn_answer(answer: Json) -> TxnAnswer:
    listings = [
        _listing(one["response_range"])
        for one in answer.get("responses", ())
        if "response_range" in one
    ]
    return TxnAnswer(bool(answer.get("succeeded")), _revision(answer), tuple(listings))
