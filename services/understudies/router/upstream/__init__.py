"""The teachers' side of the router: which teacher has a model, and how it is asked."""

from understudies.router.upstream.breaker import Breaker
from understudies.router.upstream.catalogue import Catalogue, UnknownModel
from understudies.router.upstream.relay import Relay
from understudies.router.upstream.teachers import Teachers

__all__ = ["Breaker", "Catalogue", "Relay", "Teachers", "UnknownModel"]
