"""Requests of a node to whichever manager answers.

A node knows several managers. It asks the one that answered last; one that does not answer, or has
lost its quorum, is passed over for the next. Connections are kept for further requests, those that
nobody has needed for a while are closed: each costs its manager a thread and TLS's buffers.
"""

from __future__ import annotations

import json
import ssl
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from http.client import HTTPException, HTTPResponse
from typing import Any

from plumb.agent.cluster.certificates import tls
from plumb.agent.cluster.certificates.tokens import Token
from plumb.errors import Invalid, KernelRefused, PlumbError
from plumb.kernel.cluster import failures

ANSWER = 10.0
"""Seconds that a manager may take to answer."""
CONNECT = 10.0
"""Seconds for each step of asking a manager for its authority's certificate."""
JOINING = 60.0
"""Seconds that a manager may take to let a node in: it starts the process that signs."""
PATIENCE, AGAIN = 8.0, 0.2
"""Seconds for which managers that cannot answer are asked again, and between two tries."""
KEPT, UNUSED = 4, 10.0
"""Connections that are kept open, and seconds after which one that was not used is closed."""
WATCH = b'{"increments":true}'
"""Request for the stream: of this node's tasks, what changes after the first time."""
MAX_ANSWER = 1 << 26
ADVICE = (
    "local networks and what is known of other nodes stay as they are; see that a manager runs and "
    "that its TCP port 2377 is reachable from here"
)


class Managers:
    """The cluster's managers, for a node.

    Args:
        places: HOST:PORT of those that are known, the preferred one first.
        context: makes TLS's context with the node's certificate; called after each renewal.
    """

    def __init__(self, places: Sequence[str], context: Callable[[], ssl.SSLContext]) -> None:
        self._places = list(places)
        self._make_context, self._context = context, context()
        self._idle: list[tuple[str, tls.Connection, float]] = []
        self._lock = threading.Lock()

    @property
    def places(self) -> tuple[str, ...]:
        """HOST:PORT of all that are known, in the order in which they are asked."""
        return tuple(self._places)

    def know(self, places: Sequence[str]) -> None:
        """Replace the list; those that are known already stay in their order."""
        with self._lock:
            kept = [place for place in self._places if place in places]
            self._places = [*kept, *(place for place in places if place not in kept)]

    def renew(self) -> None:
        """Use the node's new certificate from now on."""
        context = self._make_context()
        with self._lock:
            self._context = context
        self.close()

    def close(self) -> None:
        """Close the connections that are idle."""
        with self._lock:
            idle, self._idle = self._idle, []
        for _, connection, _ in idle:
            connection.close()

    def ask(
        self,
        name: str,
        body: dict[str, Any],
        seconds: float = ANSWER,
        but: str = "",
        patience: float = PATIENCE,
    ) -> Any:
        """Ask for something.

        Every request may be repeated: its first try may have been carried out, and the answer lost.

        Args:
            name, body: the request, as `api` takes it.
            seconds: how long each manager may take.
            but: a manager, HOST:PORT, that is not asked.
            patience: seconds for which all are asked again where none can answer, as while another
                leader is elected.

        Raises:
            PlumbError: it was refused.
            KernelRefused: no manager answers.
        """
        sent = json.dumps(body, separators=(",", ":")).encode()
        deadline = time.monotonic() + patience
        while True:
            try:
                return self._ask_in_turn(name, sent, seconds, but)
            except KernelRefused:
                if time.monotonic() >= deadline:
                    raise
            time.sleep(AGAIN)

    def _ask_in_turn(self, name: str, sent: bytes, seconds: float, but: str) -> Any:
        silent: PlumbError | None = None
        refused: PlumbError | None = None
        for place in [place for place in self._places if place != but]:
            try:
                answer = self._ask(place, name, sent, seconds)
            except (OSError, HTTPException, ValueError) as error:
                silent = _unreachable(name, place, error)
            else:
                if "error" not in answer:
                    return answer["answer"]
                refused = failures.decoded(answer)
                if not isinstance(refused, KernelRefused):
                    raise refused
            self._put_last(place)
        raise (
            refused
            or silent
            or KernelRefused(f"ask for {name}", 0, "no other manager is known", ADVICE)
        )

    def _put_last(self, place: str) -> None:
        with self._lock, suppress(ValueError):
            self._places.remove(place)
            self._places.append(place)

    def _ask(self, place: str, name: str, sent: bytes, seconds: float) -> dict[str, Any]:
        kept = self._take(place)
        if kept is not None:
            with suppress(OSError, HTTPException):  # the manager has closed it meanwhile
                return self._exchange(place, kept, name, sent, seconds)
            kept.close()
        return self._exchange(place, self._open(place, seconds), name, sent, seconds)

    def _exchange(
        self, place: str, connection: tls.Connection, name: str, sent: bytes, seconds: float
    ) -> dict[str, Any]:
        try:
            if connection.sock is not None:
                connection.sock.settimeout(seconds)
            response = connection.ask("POST", f"/v1/{name}", sent)
            answer = _read(response)
        except BaseException:
            connection.close()
            raise
        self._keep(place, connection)
        return answer

    def _open(self, place: str, seconds: float) -> tls.Connection:
        return tls.Connection(place, self._context, seconds)

    def _take(self, place: str) -> tls.Connection | None:
        """Take the connection that was used last, so that those which are too many rest."""
        with self._lock:
            for number in reversed(range(len(self._idle))):
                there, connection, _ = self._idle[number]
                if there == place:
                    del self._idle[number]
                    return connection
        return None

    def _keep(self, place: str, connection: tls.Connection) -> None:
        now, over = time.monotonic(), [connection]
        with self._lock:
            rested = [kept for kept in self._idle if now - kept[2] > UNUSED]
            self._idle = [kept for kept in self._idle if now - kept[2] <= UNUSED]
            if len(self._idle) < KEPT and connection.sock is not None:
                self._idle.append((place, connection, now))
                over.clear()
        for _, unused, _ in rested:
            unused.close()
        for surplus in over:
            surplus.close()

    def stream(self, seconds: float) -> tuple[tls.Connection, HTTPResponse]:
        """Open the stream of changes at the preferred manager.

        Args:
            seconds: of silence after which the manager counts as gone.

        Raises:
            PlumbError: it was refused, or no manager answers.
        """
        last: PlumbError | None = None
        for place in self.places:
            connection = self._open(place, seconds)
            try:
                response = connection.ask("POST", "/v1/watch", WATCH)
                if response.status == 200:
                    return connection, response
                last = failures.decoded(_read(response))
            except (OSError, HTTPException, ValueError) as error:
                last = _unreachable("watch", place, error)
                self._put_last(place)
            connection.close()
            if not isinstance(last, KernelRefused):
                raise last
        raise last or KernelRefused("watch the cluster", 0, "no manager is known", ADVICE)


def authorities(place: str, token: Token) -> str:
    """Ask a manager for the certificates of the authorities, and see that the token means them.

    Args:
        place: HOST:PORT.
        token: a join token.

    Returns:
        The certificate that the token pins, PEM.

    Raises:
        Invalid: they are another cluster's.
        KernelRefused: nobody answers there.
    """
    connection = tls.Connection(place, tls.unverified(), CONNECT)
    try:
        answer = _read(connection.ask("GET", "/v1/ca"))
        found = [str(one) for one in answer["answer"]]
    except (OSError, HTTPException, ValueError, KeyError, TypeError) as error:
        raise _unreachable("join", place, error) from None
    finally:
        connection.close()
    pinned = next((one for one in found if token.pins(one)), None)
    if pinned is None:
        raise Invalid(
            "remote CA does not match fingerprint",
            "the token is another cluster's, or the cluster's CA was rotated since, or somebody "
            "else answers at that address: ask a manager for 'plumb swarm join-token' again",
        )
    return pinned


def ask_as_stranger(place: str, authority: str, name: str, body: dict[str, Any]) -> Any:
    """Ask a manager, proven by its certificate, before this node has one itself.

    Raises:
        PlumbError: it was refused, or the manager has no certificate of that authority.
    """
    connection = tls.Connection(place, tls.client(authority), JOINING)
    try:
        answer = _read(connection.ask("POST", f"/v1/{name}", json.dumps(body).encode()))
    except (OSError, HTTPException, ValueError) as error:
        raise _unreachable(name, place, error) from None
    finally:
        connection.close()
    if "error" in answer:
        raise failures.decoded(answer)
    return answer["answer"]


def _read(response: HTTPResponse) -> dict[str, Any]:
    text = response.read(MAX_ANSWER)
    answer = json.loads(text)
    if not isinstance(answer, dict) or not {"answer", "error"} & set(answer):
        raise ValueError("no answer of a manager")
    return answer


def _unreachable(name: str, place: str, error: Exception) -> KernelRefused:
    number = error.errno if isinstance(error, OSError) and error.errno else 0
    said = str(error) or type(error).__name__
    if isinstance(error, ssl.SSLCertVerificationError):
        said = f"it has no certificate of this cluster's manager: {error.verify_message}"
        number = 0
    elif isinstance(error, ssl.SSLError):
        said, number = f"it refuses this node's certificate: {error.reason}", 0
    elif isinstance(error, OSError):
        said = error.strerror or said
    return KernelRefused(f"ask manager {place} to {name}", number, said, ADVICE)
