"""Certificates for tests: an authority, and what it signed for a server on this machine and for a client."""

import shutil
import ssl
import subprocess
from pathlib import Path
from typing import Final

import pytest

PASSWORD: Final = "open sesame"
"""That of the client's locked key."""


def require_openssl() -> None:
    """Skip the test without openssl, which makes certificates."""
    if shutil.which("openssl") is None:
        pytest.skip("needs openssl to make certificates")


def write_certificates(folder: Path) -> None:
    """Write `ca.pem`, and `NAME.pem` and `NAME.key` of `server` and `client`; `locked.key` is the client's, encrypted.

    `server.both.pem` holds key and certificate, as Kafka wants them.
    """

    def openssl(*arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)

    (folder / "names.cnf").write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\n")
    request = ("req", "-newkey", "rsa:2048", "-nodes", "-subj")
    openssl(*request, "/CN=authority", "-x509", "-days", "2", "-keyout", "ca.key", "-out", "ca.pem")
    for name in ("server", "client"):
        openssl(*request, f"/CN={name}", "-keyout", f"{name}.key", "-out", f"{name}.csr")
        signing = ("-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2", "-extfile", "names.cnf")
        openssl("x509", "-req", "-in", f"{name}.csr", *signing, "-out", f"{name}.pem")
    openssl("rsa", "-aes256", "-passout", f"pass:{PASSWORD}", "-in", "client.key", "-out", "locked.key")
    (folder / "server.both.pem").write_text((folder / "server.key").read_text() + (folder / "server.pem").read_text())


def client_context(folder: Path) -> ssl.SSLContext:
    """Return the context of a client that trusts the authority and shows its certificate."""
    context = ssl.create_default_context(cafile=folder / "ca.pem")
    context.load_cert_chain(folder / "client.pem", folder / "client.key")
    return context
