"""A private certificate authority for servers on the loopback."""

import datetime
import ipaddress
import ssl
from pathlib import Path
from uuid import uuid4

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

_SIGNS = x509.KeyUsage(
    digital_signature=False,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    key_cert_sign=True,
    crl_sign=True,
    encipher_only=False,
    decipher_only=False,
)


class Authority:
    """A CA and one certificate of its for localhost and 127.0.0.1, in files `NAME-ca.pem` and `NAME-server.pem`.

    Both are good from a day before `at` to a day after it.
    """

    def __init__(self, folder: Path, name: str, at: datetime.datetime | None = None) -> None:
        authority_key, server_key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
        issuer = _name(f"Test CA {name} {uuid4().hex}")  # OpenSSL takes two authorities of one name for one
        signer = x509.SubjectKeyIdentifier.from_public_key(authority_key.public_key())
        authority = _builder(issuer, issuer, authority_key, at).add_extension(x509.BasicConstraints(True, None), True)
        authority = authority.add_extension(_SIGNS, True).add_extension(signer, False)
        names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
        server = _builder(_name("localhost"), issuer, server_key, at)
        server = server.add_extension(x509.SubjectAlternativeName(names), False)
        signed_by = x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(signer)
        server = server.add_extension(signed_by, False)  # from 3.13 on Python asks for it (RFC 5280, 4.2.1.1)
        self.ca_file = folder / f"{name}-ca.pem"
        self.ca_file.write_bytes(authority.sign(authority_key, hashes.SHA256()).public_bytes(Encoding.PEM))
        self.server_file = folder / f"{name}-server.pem"
        self.server_file.write_bytes(
            server.sign(authority_key, hashes.SHA256()).public_bytes(Encoding.PEM)
            + server_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        )

    def server_context(self) -> ssl.SSLContext:
        """TLS 1.3 with the server's certificate."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.load_cert_chain(self.server_file)
        return context


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, at: datetime.datetime | None
) -> x509.CertificateBuilder:
    now = at or datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
    )
