"""The Unix socket on which this host's commands ask, for root only, and what they may ask.

A line of JSON and a line back, as with the agent: {"ask": NAME, "body": {…}}, answered by
{"answer": …} or by an error (`kernel.cluster.failures`), with spaces before it while the answer
takes time (`signs_of_life`). What is not in the table below goes to the managers, with this node's
certificate.
"""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable
from typing import Any

from plumb.agent.cluster import entry
from plumb.agent.cluster.member import Member
from plumb.agent.cluster.signs_of_life import SignsOfLife
from plumb.errors import Invalid, PlumbError
from plumb.kernel import agent_socket
from plumb.kernel.cluster import failures
from plumb.model.cluster import RemoteEndpoint
from plumb.store import codec

MAX_REQUEST = 1 << 20
MAX_SESSIONS = 64
"""Commands at a time; more wait in the socket's backlog."""
PATIENCE = 60.0
"""Seconds for which a command's connection may be idle."""


def publish(member: Member, body: dict[str, Any]) -> bool:
    """Publish `endpoints` of this node."""
    here = member.the_membership()
    own = {"node": here.node, "vtep": str(here.data_path)}
    member.publish([codec.decode(RemoteEndpoint, {**row, **own}) for row in body["endpoints"]])
    return True


def withdraw(member: Member, body: dict[str, Any]) -> bool:
    """Withdraw `endpoints`, by their ids."""
    member.withdraw([str(ident) for ident in body["endpoints"]])
    return True


def published(member: Member, body: dict[str, Any]) -> list[Any]:
    """List what this node publishes."""
    return [codec.plain(end) for end in member.published()]


def remotes(member: Member, body: dict[str, Any]) -> list[Any]:
    """List the endpoints of a `network` on other nodes, as last known."""
    session = member.session
    found = session.remotes(str(body["network"])) if session is not None else ()
    return [codec.plain(end) for end in found]


def encryption(member: Member, body: dict[str, Any]) -> Any:
    """Return the keys of encrypted networks, as the managers have told them last."""
    session = member.session
    known = session.keys if session is not None else None
    return codec.plain(known) if known else member.ask("encryption", {})


REQUESTS: dict[str, Callable[[Member, dict[str, Any]], Any]] = {
    "status": lambda member, body: member.status(),
    "init": entry.init,
    "join": entry.join,
    "leave": lambda member, body: entry.leave(member, bool(body.get("force"))),
    "forget": lambda member, body: entry.forget(member),
    "publish": publish,
    "withdraw": withdraw,
    "published": published,
    "remotes": remotes,
    "encryption": encryption,
}


class LocalServer:
    """Server of the socket.

    Args:
        listener: the socket.
        member: this node.
        complain: takes lines for the log.
    """

    def __init__(
        self, listener: socket.socket, member: Member, complain: Callable[[str], None]
    ) -> None:
        self._listener, self._member, self._complain = listener, member, complain
        self._free = threading.BoundedSemaphore(MAX_SESSIONS)
        self._signs = SignsOfLife()
        self.busy = 0
        listener.setblocking(True)

    def run(self) -> None:
        """Serve until the listener is closed."""
        while True:
            self._free.acquire()
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._attend, args=(client,), daemon=True).start()

    def _attend(self, client: socket.socket) -> None:
        self.busy += 1
        try:
            with client:
                if agent_socket.trusted(client):
                    client.settimeout(PATIENCE)
                    self._serve(client)
        except (OSError, ValueError):
            pass
        finally:
            self.busy -= 1
            self._free.release()

    def _serve(self, client: socket.socket) -> None:
        with client.makefile("rb") as heard:
            while (line := heard.readline(MAX_REQUEST)).endswith(b"\n"):
                with self._signs.given_to(client):
                    answer = self.answer(line)
                client.sendall(json.dumps(answer).encode() + b"\n")

    def answer(self, line: bytes) -> dict[str, Any]:
        """Carry out a request, and return the reply."""
        try:
            request = json.loads(line)
            name, body = str(request["ask"]), dict(request.get("body") or {})
            if name in REQUESTS:
                return {"answer": REQUESTS[name](self._member, body)}
            return {"answer": self._member.ask(name, body)}
        except PlumbError as error:
            return failures.encoded(error)
        except (KeyError, TypeError, ValueError) as error:
            return failures.encoded(Invalid(f"not understood: {error!r}"))
        except Exception as error:
            self._complain(f"a request failed: {error!r}")
            return failures.encoded(PlumbError(f"plumb's cluster process failed: {error!r}"))
