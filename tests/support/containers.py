"""Kafka, Redis and ClickHouse in containers, where a Docker engine runs; without one their tests are skipped.

`CI=true`, or `UNDERSTUDIES_TEST_DOCKER=required`, makes a missing engine a failure.
"""

import atexit
import os
from functools import cache
from pathlib import Path
from typing import Final

import docker
import pytest
from docker.errors import DockerException, ImageNotFound
from testcontainers.community.kafka import KafkaContainer
from testcontainers.community.redis import RedisContainer
from testcontainers.core.config import testcontainers_config

KAFKA_IMAGE: Final = "confluentinc/cp-kafka:7.6.0"
REDIS_IMAGE: Final = "redis:7-alpine"
CLICKHOUSE_IMAGE: Final = "clickhouse/clickhouse-server:25.8"
_START_TIMEOUT_S: Final = 120


@cache
def has_docker() -> bool:
    """Return whether a Docker engine answers."""
    host = os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock")
    if host.startswith("unix://") and not Path(host.removeprefix("unix://")).exists():
        # The client would leave its socket open, which is an error in whatever test comes next.
        return False
    try:
        client = docker.from_env(timeout=10)
        try:
            return bool(client.ping())
        finally:
            client.close()
    except DockerException:
        return False


def is_docker_required() -> bool:
    """Return whether tests must not pass without an engine."""
    return os.environ.get("CI") == "true" or os.environ.get("UNDERSTUDIES_TEST_DOCKER") == "required"


def require_docker() -> None:
    """Skip the test without an engine, or fail it where one is required."""
    if has_docker():
        return
    remedy = "start a Docker engine; in CI=true, and with UNDERSTUDIES_TEST_DOCKER=required, there must be one"
    if is_docker_required():
        pytest.fail(f"no Docker engine answers: {remedy}")
    pytest.skip(f"needs a Docker engine: {remedy}")


@cache
def has_image(name: str, *, fetches: bool = True) -> bool:
    """Return whether the engine has an image, or can fetch it."""
    if not has_docker():
        return False
    client = docker.from_env()
    try:
        client.images.get(name)
    except ImageNotFound:
        if not fetches:
            return False
        try:
            client.images.pull(name)
        except DockerException:
            return False
    finally:
        client.close()
    return True


def require_image(name: str) -> None:
    """Skip the test unless the engine has an image already."""
    require_docker()
    if not has_image(name, fetches=False):
        pytest.skip(f"needs the image {name}: docker pull {name}")


def _require_engine() -> None:
    """Require an engine; leave out testcontainers' own cleaner of containers where its image cannot be had."""
    require_docker()
    testcontainers_config.ryuk_disabled |= not has_image(testcontainers_config.ryuk_image)


@cache
def shared_kafka_container() -> str:
    """The bootstrap address of one Kafka in a container for all tests of a run."""
    _require_engine()
    kafka = (
        KafkaContainer(KAFKA_IMAGE)
        .with_kraft()
        .with_env("KAFKA_AUTO_CREATE_TOPICS_ENABLE", "false")
        .with_env("KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR", "1")
        .with_env("KAFKA_TRANSACTION_STATE_LOG_MIN_ISR", "1")
        .with_env("KAFKA_HEAP_OPTS", "-Xmx256m")
    )
    atexit.register(kafka.stop)
    kafka.start(timeout=_START_TIMEOUT_S)
    address: str = kafka.get_bootstrap_server()
    return address


@cache
def shared_redis_container() -> str:
    """The URL of one Redis in a container for all tests of a run."""
    _require_engine()
    redis = RedisContainer(REDIS_IMAGE)
    atexit.register(redis.stop)
    redis.start()
    return f"redis://{redis.get_container_host_ip()}:{redis.get_exposed_port(6379)}"
