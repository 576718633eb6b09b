"""Public key infrastructure of a cluster: one CA for nodes, one for etcd's peers.

`swarm init` makes both; their keys are in etcd, which only managers have. A node makes its own key
and sends a request to have it signed (PKCS #10), so that a private key never leaves its host. The
certificate says in its subject, as Docker's, the node's id (CN), its role (OU) and the swarm (O).

    SAN DNS        serves to tell managers: a node speaks only to a server that has
                   "swarm-manager", so no worker can play the manager
    key usage      a worker's is good for a client only
    lifetime       90 days, Docker's, from an hour ago for clocks that differ; renewed after half

What a certificate allows is decided at each request by what etcd has of the node whose key it is.
So a lost key is worth nothing once the node is removed, and there is no list of revoked ones.

`signing` has these functions carried out in a process of their own, as they need `cryptography`.
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from typing import TYPE_CHECKING

from plumb.address import IPAddress
from plumb.errors import Invalid
from plumb.frozen import frozen
from plumb.model.cluster import NodeRole

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric import ec

HOURS = 90 * 24
LIFETIME = timedelta(hours=HOURS)
CA_LIFETIME = timedelta(days=365 * 20)
SKEW = timedelta(hours=1)
"""Difference of two nodes' clocks that a certificate bears."""
SERVER_NAMES = {NodeRole.MANAGER: "swarm-manager", NodeRole.WORKER: "swarm-worker"}
"""Names that a role's certificate has, by which a client tells a manager (Docker's)."""


@frozen
class Authority:
    """A certificate authority: certificate and key, PEM.

    Attributes:
        old: certificates of earlier ones, which are trusted until all nodes have a new one.
        cross: this one's name and key in a certificate of the one before, so that a node that does
            not know of this one yet accepts what it has signed.
    """

    certificate: str
    key: str
    old: tuple[str, ...] = ()
    cross: str = ""

    def __repr__(self) -> str:
        return "Authority(…)"  # so that no traceback shows the key


def new_authority(name: str) -> Authority:
    """Make an authority with a new key."""
    key = _new_key()
    # Of two authorities with one name a verifier would not know which one has signed.
    subject = _name((("COMMON_NAME", f"{name} {secrets.token_hex(4)}"),))
    return Authority(_authority(subject, key, subject, key), _private(key))


def successor(before: Authority, name: str) -> Authority:
    """Make an authority that follows another one, which has signed for it as well."""
    from cryptography import x509

    made = new_authority(name)
    key, signer = _loaded(made.key), _loaded(before.key)
    subject = x509.load_pem_x509_certificate(made.certificate.encode()).subject
    issuer = x509.load_pem_x509_certificate(before.certificate.encode()).subject
    cross = _authority(subject, key, issuer, signer)
    return replace(made, old=(before.certificate, *before.old), cross=cross)


def _authority(
    subject: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    issuer: x509.Name,
    signer: ec.EllipticCurvePrivateKey,
) -> str:
    """Sign an authority's certificate."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes

    now = datetime.now(UTC)
    issuer_id = x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key())
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - SKEW)
        .not_valid_after(now + CA_LIFETIME)
        .add_extension(x509.BasicConstraints(ca=True, path_length=1), critical=True)
        .add_extension(_usage(signs=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(issuer_id, critical=False)
        .sign(signer, hashes.SHA256())
    )
    return _pem(certificate)


def new_key() -> str:
    """Make a node's key, PEM."""
    return _private(_new_key())


def request(key: str) -> str:
    """Make a request to have a key signed, PEM.

    A renewed certificate is of the same key: were it another one and the answer lost, the managers
    would know the node by a key that it does not have.
    """
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization

    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    made = builder.sign(_loaded(key), hashes.SHA256())
    return made.public_bytes(serialization.Encoding.PEM).decode()


def sign_node(
    authority: Authority, wanted: str, node: str, role: NodeRole, swarm: str, hours: int = HOURS
) -> str:
    """Sign a node's request: id, role and swarm are the signer's, the request gives but the key.

    Args:
        hours: validity.

    Returns:
        The certificate and what proves its issuer to a node that knows the one before, PEM.

    Raises:
        Invalid: the request is none, or of a key that is not its sender's.
    """
    names = (SERVER_NAMES[role], node, swarm)
    subject = (
        ("ORGANIZATION_NAME", swarm),
        ("ORGANIZATIONAL_UNIT_NAME", SERVER_NAMES[role]),
        ("COMMON_NAME", node),
    )
    return _sign(
        authority, wanted, subject, names, (), role is NodeRole.MANAGER, timedelta(hours=hours)
    )


def sign_peer(authority: Authority, wanted: str, node: str, address: IPAddress) -> str:
    """Sign the request of an etcd member, which is server and client of its peers.

    It outlives the daemon that has loaded it: etcd reads its certificate again at each connection.
    """
    return _sign(authority, wanted, (("COMMON_NAME", node),), (node,), (address,), True, LIFETIME)


def _sign(
    authority: Authority,
    wanted: str,
    subject: tuple[tuple[str, str], ...],
    names: tuple[str, ...],
    addresses: tuple[IPAddress, ...],
    serves: bool,
    lifetime: timedelta,
) -> str:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec

    try:
        asked = x509.load_pem_x509_csr(wanted.encode())
        key = asked.public_key()
        if not asked.is_signature_valid:
            raise ValueError("its signature is not that of its key")
        if not isinstance(key, ec.EllipticCurvePublicKey) or key.curve.name != "secp256r1":
            raise ValueError("its key is not of the curve P-256")
    except ValueError as error:
        raise Invalid(f"invalid certificate signing request: {error}") from None
    issuer = x509.load_pem_x509_certificate(authority.certificate.encode())
    signer = _loaded(authority.key)
    usages = [x509.oid.ExtendedKeyUsageOID.CLIENT_AUTH]
    if serves:
        usages.insert(0, x509.oid.ExtendedKeyUsageOID.SERVER_AUTH)
    alternative = [
        *(x509.DNSName(name) for name in names),
        *(x509.IPAddress(ip_address(str(address))) for address in addresses),
    ]
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(_name(subject))
        .issuer_name(issuer.subject)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - SKEW)
        .not_valid_after(now + lifetime)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
        .add_extension(x509.SubjectAlternativeName(alternative), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False
        )
        .sign(signer, hashes.SHA256())
    )
    return _pem(certificate) + authority.cross


def request_key_hash(wanted: str) -> str:
    """SHA-256 of the public key in a request, as `der.key_hash` has a certificate's.

    Raises:
        Invalid: it is no request.
    """
    from cryptography import x509
    from cryptography.hazmat.primitives import serialization

    try:
        key = x509.load_pem_x509_csr(wanted.encode()).public_key()
    except ValueError as error:
        raise Invalid(f"invalid certificate signing request: {error}") from None
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return hashlib.sha256(key.public_bytes(serialization.Encoding.DER, form)).hexdigest()


def _new_key() -> ec.EllipticCurvePrivateKey:
    from cryptography.hazmat.primitives.asymmetric import ec

    return ec.generate_private_key(ec.SECP256R1())


def _loaded(key: str) -> ec.EllipticCurvePrivateKey:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    loaded = serialization.load_pem_private_key(key.encode(), None)
    assert isinstance(loaded, ec.EllipticCurvePrivateKey)
    return loaded


def _name(parts: tuple[tuple[str, str], ...]) -> x509.Name:
    from cryptography import x509

    return x509.Name([x509.NameAttribute(getattr(x509.NameOID, oid), text) for oid, text in parts])


def _usage(*, signs: bool) -> x509.KeyUsage:
    from cryptography import x509

    return x509.KeyUsage(
        digital_signature=not signs,
        key_cert_sign=signs,
        crl_sign=signs,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _pem(certificate: x509.Certificate) -> str:
    from cryptography.hazmat.primitives import serialization

    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def _private(key: ec.EllipticCurvePrivateKey) -> str:
    from cryptography.hazmat.primitives import serialization

    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()


def first_certificate(papers: str) -> str:
    """Return a node's own certificate, the first of its papers, without its key."""
    end = "-----END CERTIFICATE-----\n"
    return papers[papers.index("-----BEGIN CERTIFICATE-----") : papers.index(end) + len(end)]
