"""The local cloud's certificate authority: it signs what ACM and cert-manager would.

Keys are P-256. Certificates live 90 days; whoever needs one asks again at its own start.
"""

import fcntl
import ipaddress
import os
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from sandbox import paths

_AUTHORITY_LIFE = timedelta(days=3650)
_CERTIFICATE_LIFE = timedelta(days=90)
_COMMON_NAME_LIMIT = 64


def ensure_ca(certificate: Path = paths.CA_CERTIFICATE, key: Path = paths.CA_KEY) -> Path:
    """Make the authority unless both files are there; safe when several processes ask at once.

    Returns the path of the certificate, which clients are told to trust.
    """
    certificate.parent.mkdir(parents=True, exist_ok=True)
    with certificate.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (certificate.exists() and key.exists()):
            private = ec.generate_private_key(ec.SECP256R1())
            name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "hueshift local cloud")])
            signed = (
                _builder(name, name, private.public_key(), private.public_key(), _AUTHORITY_LIFE)
                .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
                .add_extension(_usage(authority=True), critical=True)
                .sign(private, hashes.SHA256())
            )
            _replace(key, _pem(private), 0o600)
            _replace(certificate, signed.public_bytes(serialization.Encoding.PEM), 0o644)
    return certificate


def issue(
    names: Sequence[str], certificate: Path = paths.CA_CERTIFICATE, key: Path = paths.CA_KEY
) -> tuple[bytes, bytes]:
    """Issue a server certificate for DNS names (a leading ``*.`` allowed) and IP addresses.

    Returns the certificate and its key, both PEM. Raises ValueError if there is no name.
    """
    if not names:
        raise ValueError("a certificate needs at least one name")
    ensure_ca(certificate, key)
    authority = x509.load_pem_x509_certificate(certificate.read_bytes())
    signer = serialization.load_pem_private_key(key.read_bytes(), password=None)
    if not isinstance(signer, ec.EllipticCurvePrivateKey):
        raise ValueError(f"{key} is not a P-256 key: delete it and {certificate}, both are made again")
    private = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0][:_COMMON_NAME_LIMIT])])
    signed = (
        _builder(subject, authority.subject, private.public_key(), signer.public_key(), _CERTIFICATE_LIFE)
        .add_extension(x509.SubjectAlternativeName([_general_name(name) for name in names]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(authority=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(signer, hashes.SHA256())
    )
    return signed.public_bytes(serialization.Encoding.PEM), _pem(private)


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    public: ec.EllipticCurvePublicKey,
    signer: ec.EllipticCurvePublicKey,
    life: timedelta,
) -> x509.CertificateBuilder:
    # The start lies in the past because the node's clock may be behind this machine's.
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + life)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer), critical=False)
    )


def _usage(*, authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not authority,
        key_cert_sign=authority,
        crl_sign=authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _pem(private: ec.EllipticCurvePrivateKey) -> bytes:
    return private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _replace(path: Path, content: bytes, mode: int) -> None:
    part = path.with_name(f".{path.name}")
    with os.fdopen(os.open(part, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, mode), "wb") as file:
        file.write(content)
    part.replace(path)
