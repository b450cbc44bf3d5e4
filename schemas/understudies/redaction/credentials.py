"""Mask credentials in the fields of a body, recognised by the names of the fields."""

import re
from typing import Any, Final

from understudies.redaction.credential_names import credential_certainty, is_credential
from understudies.redaction.json_credentials import CREDENTIAL_PLACEHOLDER

# Beside what was asked, such a field holds nothing else, whatever it looks like.
_CREDENTIAL_NAMES: Final = frozenset(
    {"authorization", "authorization_token", "api_key", "x_api_key", "apikey", "password", "passwd"}
    | {"secret", "client_secret", "access_token", "refresh_token", "private_key"}
)
_SERVER_FIELDS: Final = ("server_url", "url", "server_label", "connector_id")
"""Text fields that distinguish a tool or server with headers of its own from a schema with a property of that name."""

# Begins with what can be searched for quickly, and looks back: first at two letters, because most names end otherwise.
_CREDENTIAL_FIELD: Final = re.compile(
    rb'":["{](?:(?<=[elorsw][dnsty]"..)(?:(?<=authorization"..)|(?<=token"..)|(?<=password"..)|(?<=passwd"..)|'
    rb'(?<=pwd"..)|(?<=key"..)|(?<=secret"..)|(?<=credentials"..)|(?<=headers"..)|(?<=pass"..)|(?<=wort"..)|'
    rb'(?<=jwt"..))|(?<=[adhst][aehl]"..)(?:(?<=phrase"..)|(?<=passcode"..)|(?<=credential"..)|(?<=auth"..)|'
    rb'(?<=senha"..))|(?<=a"..)(?:(?<=contrase.a"..)|(?<=contrase..a"..)))',
    re.IGNORECASE,
)


def has_credentials(raw: bytes) -> bool:
    """Return whether compact JSON may hold a credential; texts inside it, with escaped quotes, do not count."""
    return _CREDENTIAL_FIELD.search(raw) is not None


def mask_credentials(fields: dict[str, Any]) -> dict[str, Any]:
    """Mask every text under the name of a credential, and all headers of a server.

    Return the same object if nothing changes. A schema's property of such a name is an object, and stays.
    """
    masked: dict[str, Any] = {
        key: CREDENTIAL_PLACEHOLDER
        for key, value in fields.items()
        if isinstance(value, str) and value and isinstance(key, str) and _is_credential(key, value)
    }
    headers = fields.get("headers")
    if isinstance(headers, dict) and any(isinstance(fields.get(name), str) for name in _SERVER_FIELDS):
        masked["headers"] = dict.fromkeys(headers, CREDENTIAL_PLACEHOLDER)
    return fields if all(fields[key] == value for key, value in masked.items()) else {**fields, **masked}


def _is_credential(key: str, value: str) -> bool:
    if key.lower().replace("-", "_") in _CREDENTIAL_NAMES:
        return True
    certainty = credential_certainty(key)
    return certainty is not None and is_credential(certainty, value)
