"""The SDK for agents: record a teacher's calls, publish events and subscribe to promotions."""

from understudies.client.errors import PublishError
from understudies.client.pricing import Price, per_million
from understudies.client.promotions import promotions
from understudies.client.sdk import Understudies
from understudies.redaction.patterns import default_redactor
from understudies.redaction.redactor import Redactor, combined, redacted

__all__ = [
    "Price",
    "PublishError",
    "Redactor",
    "Understudies",
    "combined",
    "default_redactor",
    "per_million",
    "promotions",
    "redacted",
]
