"""The agent's SDK: record a teacher's calls, publish events, follow promotions."""

from understudies.client.errors import PublishError
from understudies.client.pricing import Price, per_million
from understudies.client.promotions import promotions
from understudies.client.redaction import Redactor, combined, default_redactor, redacted
from understudies.client.sdk import Understudies

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
