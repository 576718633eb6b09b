"""Changes below a prefix, without a gap: from a listing, or from a revision, on.

etcd sends what has changed since a revision, as long as it still has that. A watch that etcd ends,
or that breaks, goes on from where it was; if etcd no longer has that (compaction), everything is
listed again, and what went meanwhile is told as removed. So one who takes the batches in their
order always has the keys as they were at the batch's revision.
"""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterable, Iterator
from http.client import HTTPConnection, HTTPException

from plumb.agent.cluster.state.etcd import refusals
from plumb.agent.cluster.state.etcd.client import Etcd, checked
from plumb.agent.cluster.state.etcd.operations import Json, after, below, decoded, encoded
from plumb.errors import KernelRefused

Batch = tuple[int, list[tuple[str, str | None]]]
"""A revision, and keys with their values, None for those that were removed."""
PAUSE = 0.2
"""Seconds before a watch that broke is tried again."""


class Watch:
    """An iterator of batches, which ends when `close` was called.

    Args:
        prefix: beginning of the keys.
        revision: the revision of which the caller has the keys; 0: the first batch lists all.
        known: keys that the caller has, where it names a revision: what of them is gone after a
            compaction is told as removed.

    While etcd is away, or has no quorum, the iterator waits; `broken` has the error meanwhile.
    """

    def __init__(
        self, etcd: Etcd, prefix: str, revision: int = 0, known: Iterable[str] = ()
    ) -> None:
        self.revision = revision
        self.broken: KernelRefused | None = None
        self._etcd = etcd
        self._prefix = prefix
        self._known = set(known)
        self._stream: HTTPConnection | None = None
        self._closed = False

    def close(self) -> None:
        """End the iteration; any thread may call it."""
        self._closed = True
        stream = self._stream
        if stream is not None and stream.sock is not None:
            try:
                stream.sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass  # it is closed already

    def __iter__(self) -> Iterator[Batch]:
        while not self._closed:
            try:
                if not self.revision:
                    yield self._listing()
                for batch in self._changes():
                    self.broken = None
                    yield batch
            except refusals.Compacted:
                self.revision = 0
            except KernelRefused as error:
                self.broken = error
                time.sleep(PAUSE)

    def _listing(self) -> Batch:
        """List all keys, and those as removed that were known."""
        listing = self._etcd.range(below(self._prefix))
        present = {one.key: one.value for one in listing.keys}
        gone = sorted(self._known - present.keys())
        self._known = set(present)
        self.revision, self.broken = listing.revision, None
        return listing.revision, [*((key, None) for key in gone), *present.items()]

    def _changes(self) -> Iterator[Batch]:
        """Yield batches of one stream until it breaks."""
        asked = f"watch {self._prefix}"
        stream = self._stream = self._etcd.stream(asked)
        try:
            if self._closed:  # while it connected, when there was no stream to end
                return
            for line in _lines(stream, self._request()):
                result = checked(line, asked).get("result", {})
                if result.get("canceled"):
                    raise _ended(asked, result)
                if batch := self._batch(result):
                    yield batch
        except (OSError, HTTPException, ValueError) as error:
            raise refusals.unanswered(asked, self._etcd.address, error) from error
        finally:
            stream.close()
        raise refusals.unanswered(asked, self._etcd.address, "the stream ended")

    def _request(self) -> bytes:
        wanted = {
            "key": encoded(self._prefix),
            "range_end": encoded(after(self._prefix)),
            "start_revision": str(self.revision + 1),
        }
        return json.dumps({"create_request": wanted}).encode()

    def _batch(self, result: Json) -> Batch | None:
        changes: dict[str, str | None] = {}
        for event in result.get("events", ()):
            key = decoded(event["kv"]["key"])
            removed = event.get("type") == "DELETE"
            changes[key] = None if removed else decoded(event["kv"].get("value", ""))
            (self._known.discard if removed else self._known.add)(key)
        if not changes:
            return None
        # the header's revision is the store's, which etcd may still be on the way to
        self.revision = max(int(event["kv"]["mod_revision"]) for event in result["events"])
        return self.revision, list(changes.items())


def _lines(stream: HTTPConnection, request: bytes) -> Iterator[bytes]:
    """Lines of a stream; an etcd without a leader ends it (hasleader)."""
    stream.request("POST", "/v3/watch", request, {"Grpc-Metadata-hasleader": "true"})
    response = stream.getresponse()
    while line := response.readline():
        yield line


def _ended(asked: str, result: Json) -> KernelRefused:
    if int(result.get("compact_revision", 0)):
        return refusals.refused(asked, "required revision has been compacted", 11)
    said = result.get("cancel_reason") or "etcd ended the watch"
    return refusals.refused(asked, said, 0)
