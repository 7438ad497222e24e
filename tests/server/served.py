"""A server as ``landmarklabel serve`` starts it in a hospital: with a certificate, and a token for each role."""

from __future__ import annotations

import datetime
import ipaddress
import sys
from dataclasses import dataclass, field
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from servers import Server

from landmarklabel.admission import ROLES, new_token


@dataclass
class ServedServer(Server):
    """Started by the command line, with its options in place of settings.

    Attributes:
        tokens: by role.
    """

    tokens: dict[str, str] = field(default_factory=dict)

    def command(self) -> list[str]:
        command = [sys.executable, "-m", "landmarklabel.cli", "serve", str(self.studies), "--port", str(self.port)]
        command.append("--no-auto-train")
        return command + [part for key, value in self.conf.items() for part in (f"--{key.replace('_', '-')}", value)]


def serve_safely(prepared: Server) -> ServedServer:
    """The same studies behind https and tokens; not started."""
    made = {role: new_token(f"the_{role}", role) for role in ROLES}
    token_file = prepared.folder / "tokens"
    token_file.write_text("\n".join(line for _, line in made.values()))
    certificate, key = write_certificate(prepared.folder)
    options = {"token_file": str(token_file), "tls_cert": str(certificate), "tls_key": str(key)}
    secrets = {role: secret for role, (secret, _) in made.items()}
    return ServedServer(
        prepared.folder,
        prepared.studies,
        {**prepared.conf, **options},
        token=secrets["admin"],
        certificate=certificate,
        tokens=secrets,
    )


def write_certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate of 127.0.0.1 for a day, signed by itself, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.timezone.utc)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(minutes=5))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False)
        .sign(key, hashes.SHA256())
    )
    paths = folder / "cert.pem", folder / "key.pem"
    paths[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    paths[1].write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return paths
