"""Who may call: tenants and their API keys."""

from understudies.router.access.access import Access, Admitted, Denied
from understudies.router.access.tenant import ANYBODY, Tenant

__all__ = ["ANYBODY", "Access", "Admitted", "Denied", "Tenant"]
