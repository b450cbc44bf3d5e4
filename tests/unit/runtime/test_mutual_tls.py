"""The certificate of a client of Kafka: a server that asks for one takes it, and refuses a client without."""

import asyncio
import contextlib
import shutil
import ssl
from pathlib import Path

import pytest
from pydantic import SecretStr
from tests.support.certificates import PASSWORD, write_certificates

from understudies.runtime.bus.admin import build_security
from understudies.runtime.errors import ConfigurationError
from understudies.runtime.settings import BusSettings

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl to make certificates")


@pytest.fixture
def pems(tmp_path: Path) -> Path:
    """A folder with certificates."""
    write_certificates(tmp_path)
    return tmp_path


async def greeting(pems: Path, settings: BusSettings) -> bytes:
    """What a server that asks for certificates says to a client with these settings."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=pems / "ca.pem")
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_cert_chain(pems / "server.pem", pems / "server.key")

    def greet(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        subject = writer.get_extra_info("peercert")["subject"]
        writer.write(dict(pair[0] for pair in subject)["commonName"].encode())
        writer.close()

    security = build_security(settings)
    assert security is not None
    async with await asyncio.start_server(greet, "127.0.0.1", 0, ssl=context) as server:
        port = server.sockets[0].getsockname()[1]
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", port, ssl=security.ssl_context, server_hostname="localhost"
        )
        try:
            return await reader.read()
        finally:
            writer.close()


async def test_the_certificate_is_shown(pems: Path) -> None:
    files = {"ca_file": pems / "ca.pem", "cert_file": pems / "client.pem"}
    for key in ({"key_file": pems / "client.key"}, {"key_file": pems / "locked.key", "key_password": PASSWORD}):
        settings = BusSettings.model_validate({"security_protocol": "SSL", **files, **key})
        assert await greeting(pems, settings) == b"client"
    said = b""
    with contextlib.suppress(OSError):  # an alert of TLS, or the end of the connection, whichever is seen first
        said = await greeting(pems, BusSettings(security_protocol="SSL", ca_file=pems / "ca.pem"))
    assert said == b""


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"cert_file": "client.pem", "key_file": "server.key"}, "CERT_FILE and UNDERSTUDIES_BUS_KEY_FILE cannot"),
        ({"cert_file": "client.pem", "key_file": "locked.key"}, "UNDERSTUDIES_BUS_KEY_PASSWORD"),
        ({"cert_file": "missing.pem"}, "No such file"),
        ({"key_file": "client.key"}, "without UNDERSTUDIES_BUS_CERT_FILE"),
    ],
)
def test_files_that_do_not_fit_are_named(pems: Path, fields: dict[str, str], reason: str) -> None:
    given = {name: pems / file for name, file in fields.items()}
    settings = BusSettings.model_validate({"security_protocol": "SSL", "ca_file": pems / "ca.pem", **given})
    with pytest.raises(ConfigurationError, match=reason):
        build_security(settings)


def test_the_password_is_not_shown() -> None:
    assert PASSWORD not in repr(BusSettings(key_password=SecretStr(PASSWORD)))
