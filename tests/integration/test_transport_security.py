"""TLS and credentials on real servers, from settings: what is right connects, and what is wrong is refused by name."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from pydantic import SecretStr
from tests.support.certificates import require_openssl, write_certificates
from tests.support.clickhouse_server import ClickHouseServer
from tests.support.kafka_server import KafkaServer
from tests.support.redis_server import RedisServer
from tests.support.sample_events import make_invocation
from tests.support.tls_proxy import tls_proxy

from understudies.runtime.bus.kafka_bus import KafkaBus
from understudies.runtime.errors import ConfigurationError, RetryLater
from understudies.runtime.online.base import OnlineUnavailable
from understudies.runtime.online.factory import create_online_state
from understudies.runtime.settings import BusSettings, StoreSettings
from understudies.runtime.store import Store

PASSWORD = "p@ss word/1"
_KAFKA = """
listeners=SASL_SSL://127.0.0.1:{{port}},CONTROLLER://127.0.0.1:{{controller}}
advertised.listeners=SASL_SSL://localhost:{{port}}
listener.security.protocol.map=SASL_SSL:SASL_SSL,CONTROLLER:PLAINTEXT
inter.broker.listener.name=SASL_SSL
sasl.enabled.mechanisms=SCRAM-SHA-512
sasl.mechanism.inter.broker.protocol=SCRAM-SHA-512
listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required \
username="services" password="{password}";
listener.name.sasl_ssl.ssl.client.auth=required
ssl.keystore.type=PEM
ssl.keystore.location={pems}/server.both.pem
ssl.truststore.type=PEM
ssl.truststore.location={pems}/ca.pem
"""


@pytest.fixture(scope="module")
def pems(tmp_path_factory: pytest.TempPathFactory) -> Path:
    require_openssl()
    folder = tmp_path_factory.mktemp("certificates")
    write_certificates(folder)
    return folder


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def kafka(pems: Path) -> AsyncIterator[KafkaServer]:
    properties = _KAFKA.format(pems=pems, password=PASSWORD)
    scram = f"SCRAM-SHA-512=[name=services,password={PASSWORD}]"
    async with KafkaServer(properties=properties, format_options=("--add-scram", scram)) as server:
        yield server


def bus_settings(kafka: KafkaServer, pems: Path, **changes: Any) -> BusSettings:
    fields = {
        "bootstrap": kafka.bootstrap,
        "group_prefix": None,
        "publish_timeout_s": 5,
        "security_protocol": "SASL_SSL",
        "sasl_user": "services",
        "sasl_password": PASSWORD,
        "ca_file": pems / "ca.pem",
        "cert_file": pems / "client.pem",
        "key_file": pems / "client.key",
    }
    return BusSettings.model_validate({**fields, **changes})


@pytest.mark.asyncio(loop_scope="module")
async def test_kafka_by_scram_over_mutual_tls(kafka: KafkaServer, pems: Path) -> None:
    bus = KafkaBus(bus_settings(kafka, pems), "writer")
    await bus.start()
    try:
        await bus.publish(make_invocation())
    finally:
        await bus.stop()
    assert await bus.fetch_committed_offsets() == {}


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"sasl_password": "wrong"}, "'services'; correct UNDERSTUDIES_BUS_SASL_USER and"),
        ({"sasl_mechanism": "PLAIN"}, "does not offer PLAIN"),
        ({"ca_file": None}, "correct UNDERSTUDIES_BUS_CA_FILE"),
    ],
)
@pytest.mark.asyncio(loop_scope="module")
async def test_kafka_refuses_what_is_wrong(
    kafka: KafkaServer, pems: Path, changes: dict[str, Any], reason: str
) -> None:
    with pytest.raises(ConfigurationError, match=reason):
        await KafkaBus(bus_settings(kafka, pems, **changes), "writer").start()


@pytest.mark.asyncio(loop_scope="module")
async def test_kafka_refuses_a_client_without_a_certificate(kafka: KafkaServer, pems: Path) -> None:
    with pytest.raises(RetryLater, match="cannot create topics"):
        await KafkaBus(bus_settings(kafka, pems, cert_file=None, key_file=None), "writer").start()


async def test_redis_by_password_over_mutual_tls(pems: Path) -> None:
    async with RedisServer(password="secret", certificates=pems) as server:
        files = f"ssl_ca_certs={pems}/ca.pem&ssl_certfile={pems}/client.pem&ssl_keyfile={pems}/client.key"
        online = create_online_state(f"rediss://:secret@localhost:{server.port}?{files}", timeout_s=5)
        try:
            await online.put("key", b"value", 60)
            assert await online.get("key") == b"value"
        finally:
            await online.close()
        for url in (
            f"rediss://:secret@localhost:{server.port}?ssl_ca_certs={pems}/ca.pem",
            f"rediss://:secret@localhost:{server.port}",
            f"redis://:secret@localhost:{server.port}",
        ):
            refused = create_online_state(url, timeout_s=5)
            try:
                with pytest.raises(OnlineUnavailable):
                    await refused.get("key")
            finally:
                await refused.close()


async def test_clickhouse_by_password_over_tls(pems: Path) -> None:
    async with ClickHouseServer(password=PASSWORD) as server, tls_proxy(pems, server.port) as port:
        url = server.url(address=f"localhost:{port}").replace("clickhouse://", "clickhouses://")
        store = await Store.open(url, StoreSettings(ca_file=pems / "ca.pem"))
        try:
            await store.migrate()
            assert await store.query("SELECT count() AS calls FROM invocations") == [{"calls": 0}]
        finally:
            await store.close()
        with pytest.raises(RetryLater, match="certificate"):
            await Store.open(url)
        with pytest.raises(ConfigurationError, match="password"):
            await Store.open(url.replace("p%40ss", "wrong"), StoreSettings(url=SecretStr(url), ca_file=pems / "ca.pem"))
