"""Find out why a broker takes no connection: the client reports only that there is none."""

import asyncio
import ssl
from collections.abc import Mapping
from typing import Any, Final

from aiokafka.conn import create_conn
from aiokafka.errors import (
    AuthenticationFailedError,
    AuthenticationMethodNotSupported,
    KafkaError,
    SaslAuthenticationFailed,
    UnsupportedSaslMechanismError,
)

from understudies.runtime.settings import BusSettings

_TIMEOUT_S: Final = 10.0
_BAD_CREDENTIALS: Final = (AuthenticationFailedError, SaslAuthenticationFailed)
_BAD_MECHANISM: Final = (AuthenticationMethodNotSupported, UnsupportedSaslMechanismError)


async def find_refusal(settings: BusSettings, address: str, options: Mapping[str, Any]) -> str | None:
    """Return what to correct if the broker at HOST:PORT refuses these settings; None if it is not there, or unclear."""
    host, _, port = address.rpartition(":")
    try:
        async with asyncio.timeout(_TIMEOUT_S):
            connection = await create_conn(host, int(port), **options)
        connection.close()
    except (KafkaError, OSError, ValueError) as error:
        return _explain(settings, error)
    return None


def _explain(settings: BusSettings, error: BaseException) -> str | None:
    chain: list[BaseException] = []
    one: BaseException | None = error
    while one is not None and one not in chain:
        chain.append(one)
        one = one.__cause__ or one.__context__
    for cause in chain:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"its certificate is not trusted: {cause.verify_message}; correct UNDERSTUDIES_BUS_CA_FILE"
        if isinstance(cause, _BAD_MECHANISM):
            return f"it does not offer {settings.sasl_mechanism}; correct UNDERSTUDIES_BUS_SASL_MECHANISM"
        if isinstance(cause, _BAD_CREDENTIALS):
            return (
                f"it refuses user {settings.sasl_user!r}; "
                "correct UNDERSTUDIES_BUS_SASL_USER and UNDERSTUDIES_BUS_SASL_PASSWORD"
            )
    return None
