"""Who may call: tenants and their API keys."""

from understudies.router.access.access import CREDENTIALS, TEACHER_KEY, Authenticator, AuthError, Principal
from understudies.router.access.tenant import ANONYMOUS, Tenant

__all__ = ["ANONYMOUS", "CREDENTIALS", "TEACHER_KEY", "Authenticator", "Principal", "AuthError", "Tenant"]
