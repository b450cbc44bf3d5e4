"""Ask Kafka for the ids of topics: one that is deleted and made anew keeps its name and gets another id.

aiokafka's own request for metadata is of a version without ids. A consumer does not notice such a topic: it goes on at
its old offset, and misses what the new topic has below it (findings/aiokafka_topic_made_anew.sh).
"""

import uuid
from collections.abc import Collection, Mapping
from io import BytesIO
from typing import Any, Final

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import IncompatibleBrokerVersion, KafkaError
from aiokafka.protocol.abstract import AbstractType
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import Boolean, CompactArray, CompactString, Int16, Int32, Schema, TaggedFields
from faststream.kafka.security import parse_security

from understudies.runtime.bus.admin import bootstrap_servers, build_security
from understudies.runtime.errors import RetryLater
from understudies.runtime.settings import BusSettings

_NO_ID: Final = uuid.UUID(int=0)
_UUID_BYTES: Final = 16


class _Uuid(AbstractType[uuid.UUID]):  # type: ignore[misc] # aiokafka has no types
    @classmethod
    def encode(cls, value: uuid.UUID) -> bytes:
        return value.bytes

    @classmethod
    def decode(cls, data: BytesIO) -> uuid.UUID:
        return uuid.UUID(bytes=data.read(_UUID_BYTES))


_NODES: Final = CompactArray(Int32)
_TEXT: Final = CompactString("utf-8")
_PARTITION: Final = (
    ("error_code", Int16), ("partition", Int32), ("leader", Int32), ("leader_epoch", Int32), ("replicas", _NODES),
    ("isr", _NODES), ("offline", _NODES), ("tags", TaggedFields),
)  # fmt: skip
_BROKER: Final = (("node_id", Int32), ("host", _TEXT), ("port", Int32), ("rack", _TEXT), ("tags", TaggedFields))
_TOPIC: Final = (
    ("error_code", Int16), ("name", _TEXT), ("topic_id", _Uuid), ("is_internal", Boolean),
    ("partitions", CompactArray(*_PARTITION)), ("authorized_operations", Int32), ("tags", TaggedFields),
)  # fmt: skip


class _MetadataResponseV12(Response):  # type: ignore[misc] # aiokafka has no types
    API_KEY = 3  # pyright: ignore # a property of the base
    API_VERSION = 12  # pyright: ignore # a property of the base
    SCHEMA = Schema(
        ("throttle_time_ms", Int32), ("brokers", CompactArray(*_BROKER)), ("cluster_id", _TEXT),
        ("controller_id", Int32), ("topics", CompactArray(*_TOPIC)), ("tags", TaggedFields),
    )  # fmt: skip


class _MetadataRequestV12(RequestStruct):  # type: ignore[misc] # aiokafka has no types
    FLEXIBLE_VERSION = True
    API_KEY = 3
    API_VERSION = 12
    RESPONSE_TYPE = _MetadataResponseV12
    SCHEMA = Schema(
        ("topics", CompactArray(("topic_id", _Uuid), ("name", _TEXT), ("tags", TaggedFields))),
        ("allow_auto_topic_creation", Boolean), ("include_authorized_operations", Boolean), ("tags", TaggedFields),
    )  # fmt: skip


class _MetadataRequest(Request[_MetadataRequestV12]):  # type: ignore[misc] # aiokafka has no types
    API_KEY = 3

    def __init__(self, topics: Collection[str]) -> None:
        self._topics: list[tuple[uuid.UUID, str, dict[int, bytes]]] = [(_NO_ID, name, {}) for name in topics]

    def build(self, request_struct_class: type[_MetadataRequestV12]) -> _MetadataRequestV12:
        return request_struct_class(self._topics, False, False, {})


async def fetch_topic_ids(settings: BusSettings, topics: Collection[str]) -> dict[str, str]:
    """Return the ids of those of the topics that exist; empty from a broker that does not tell them.

    Raises RetryLater while the broker is unavailable.
    """
    options: Mapping[str, Any] = parse_security(build_security(settings))
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap_servers(settings), **options)
    try:
        await admin.start()
        answer: Any = await admin._send_request(_MetadataRequest(topics))
    except (IncompatibleBrokerVersion, NotImplementedError):
        return {}
    except (KafkaError, OSError) as error:
        raise RetryLater(f"no broker at {settings.bootstrap!r}: {error!r}") from error
    finally:
        await admin.close()
    return {name: str(id_) for code, name, id_, *_ in answer.topics if not code and id_ != _NO_ID}
