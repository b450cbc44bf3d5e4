"""The teachers' side of the router: which teacher has a model, and how it is asked."""

from understudies.router.upstream.breaker import CircuitBreaker
from understudies.router.upstream.catalogue import TeacherCatalogue, UnknownModel
from understudies.router.upstream.relay import PassthroughResponse
from understudies.router.upstream.teachers import TeacherPool

__all__ = ["CircuitBreaker", "TeacherCatalogue", "PassthroughResponse", "TeacherPool", "UnknownModel"]
