"""Self-signed certificates (EC P-256) for the listeners of the benches; made once and kept in `.cache/benches`."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

from benches.machine import ROOT
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

KEPT = ROOT / ".cache" / "benches" / "certificates"


def certificate(host: str) -> tuple[Path, Path]:
    """The PEM files of a certificate for `host` and of its key."""
    certificate_file, key_file = KEPT / f"{host}.pem", KEPT / f"{host}.key.pem"
    if certificate_file.exists() and key_file.exists():
        return certificate_file, key_file
    KEPT.mkdir(parents=True, exist_ok=True)
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, host)])
    now = dt.datetime.now(dt.UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=365))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    key_file.touch(mode=0o600)
    key_file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    certificate_file.write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    return certificate_file, key_file
