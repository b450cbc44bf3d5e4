"""Who may call: tenants and their API keys."""

from understudies.router.access.access import CREDENTIALS, TEACHER_KEY, Access, Admitted, Denied
from understudies.router.access.tenant import ANYBODY, Tenant

__all__ = ["ANYBODY", "CREDENTIALS", "TEACHER_KEY", "Access", "Admitted", "Denied", "Tenant"]
