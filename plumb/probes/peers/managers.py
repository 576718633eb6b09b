"""TCP ports of managers: 2377 with its TLS, and etcd's 2380 between managers."""

from __future__ import annotations

import errno
import os
import socket
import ssl
from contextlib import suppress
from http.client import HTTPConnection, HTTPException

from plumb.kernel.cluster import places
from plumb.model.cluster import Node
from plumb.model.paths import Layout
from plumb.probes.peers.finding import Cause, Fault

ETCD_PEER_PORT = 2380
SECONDS = 2.0
"""Time for a connection, and for each answer on it."""
X509_V_ERR_CERT_NOT_YET_VALID, X509_V_ERR_CERT_HAS_EXPIRED = 9, 10
MANAGER = "swarm-manager"
"""Name that a manager's certificate has."""
HOW = {
    errno.ECONNREFUSED: "refused: nothing listens there, or a firewall rejects it",
    errno.EHOSTUNREACH: "host unreachable: the host is down, or a firewall rejects it",
    errno.ENETUNREACH: "no route",
    errno.EACCES: "a firewall prohibits it",
    errno.EPERM: "this host's firewall prohibits it",
}


def connection_fault(node: Node, port: int, cause: Cause, what: str) -> Fault | None:
    """Find what keeps a connection to a peer's TCP port from being made.

    Args:
        what: the use of the port, for the sentence.
    """
    try:
        socket.create_connection((str(node.address), port), SECONDS).close()
    except OSError as error:
        timed_out = isinstance(error, TimeoutError) or error.errno == errno.ETIMEDOUT
        how = (
            "timed out: a firewall drops it, or the host is down"
            if timed_out
            else HOW.get(error.errno or 0, str(error))
        )
        return Fault(
            cause,
            f"TCP {port} of {node.address} ({what}): {how}",
            f"open TCP {port} from this node to {node.address}, and see that plumb runs there",
        )
    return None


def tls_fault(node: Node, layout: Layout) -> Fault | None:
    """Find what keeps TLS with a manager from being spoken: a clock above all."""
    try:
        _request(node, _context(layout), MANAGER)
    except ssl.SSLError as error:
        return _tls_fault(node, error)
    except (OSError, HTTPException) as error:
        return Fault(
            Cause.TLS,
            f"TCP {node.port} of {node.address} takes connections and does not answer: {error}",
            f"see the cluster's log on {node.hostname}",
        )
    return None


def _context(layout: Layout) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(os.path.join(places.kept(layout), places.TRUSTED))
    context.load_cert_chain(os.path.join(places.kept(layout), places.CERTIFICATE))
    return context


def _request(node: Node, context: ssl.SSLContext, name: str | None) -> str:
    """Ask a manager for anything; the Date of its answer, as HTTP writes it."""
    raw = socket.create_connection((str(node.address), node.port), SECONDS)
    with raw, context.wrap_socket(raw, server_hostname=name) as spoken:
        connection = HTTPConnection(str(node.address), node.port)
        connection.sock = spoken
        connection.request("GET", "/")
        return connection.getresponse().headers.get("Date", "")


def _tls_fault(node: Node, error: ssl.SSLError) -> Fault:
    now = f"it is {_now()} here" + (f" and {there} there" if (there := _date(node)) else "")
    advice = "set the clocks of both by NTP; certificates are renewed by themselves then"
    if isinstance(error, ssl.SSLCertVerificationError):
        if error.verify_code == X509_V_ERR_CERT_NOT_YET_VALID:
            text = "is not valid yet by this node's clock"
            return Fault(Cause.CLOCK, f"certificate of {node.address} {text}: {now}", advice)
        if error.verify_code == X509_V_ERR_CERT_HAS_EXPIRED:
            text = "has expired by this node's clock"
            return Fault(Cause.CLOCK, f"certificate of {node.address} {text}: {now}", advice)
    elif "CERTIFICATE_EXPIRED" in (error.reason or ""):
        text = f"this node's certificate has expired by the clock of {node.address}"
        return Fault(Cause.CLOCK, f"{text}: {now}", advice)
    return Fault(
        Cause.TLS,
        f"TLS with TCP {node.port} of {node.address} fails: {error.reason or error}; {now}",
        "compare the clocks; 'plumb swarm leave --force' and 'join' get a new certificate",
    )


def _now() -> str:
    from email.utils import formatdate

    return formatdate(usegmt=True)


def _date(node: Node) -> str:
    """Time of a manager whose certificate is not accepted; "" if it does not tell."""
    unverified = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    unverified.check_hostname, unverified.verify_mode = False, ssl.CERT_NONE
    with suppress(OSError, HTTPException):
        return _request(node, unverified, None)
    return ""
