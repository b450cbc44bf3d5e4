"""Settings of the status page."""

from collections.abc import Callable
from ipaddress import IPv4Network, IPv6Network

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from understudies.runtime.rules.api_keys import key_digest
from understudies.runtime.rules.rules import Rules
from understudies.status.access import StatusAccess, TrustedProxy


class StatusSettings(BaseSettings):
    """Settings of the status page, read from the environment with prefix `UNDERSTUDIES_STATUS_`."""

    model_config = SettingsConfigDict(env_prefix="UNDERSTUDIES_STATUS_", frozen=True)

    key: SecretStr | None = Field(
        default=None,
        description="key for the console and /status, as a bearer token or a browser's password; unset: open on a "
        "loopback address, closed on any other",
    )
    steering_key: SecretStr | None = Field(
        default=None,
        description="key that whoever steers, imports or backs up needs in place of that one, which then only reads; "
        "unset: the same key",
    )
    proxy_header: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z0-9-]+$",
        description="header in which a proxy in front names whom it let in, such as X-Forwarded-User; unset: none",
    )
    proxy_addresses: tuple[IPv4Network | IPv6Network, ...] = Field(
        default=(IPv4Network("127.0.0.0/8"), IPv6Network("::1/128")),
        description="addresses of that proxy; from any other the header means nothing",
    )

    def create_access(self, host: str, local_token: str, rules: Callable[[], Rules]) -> StatusAccess:
        """Return who may read the console of a server that listens on `host`, tenants by their keys in the rules."""
        return StatusAccess(
            host,
            local_token,
            self.key.get_secret_value() if self.key else None,
            self.steering_key.get_secret_value() if self.steering_key else None,
            TrustedProxy(self.proxy_header, self.proxy_addresses) if self.proxy_header else None,
            lambda key: _find_tenant(rules(), key),
        )


def _find_tenant(rules: Rules, key: str) -> str | None:
    digest = f"sha256:{key_digest(key).hex()}"
    return next((name for name, tenant in rules.tenants.items() if digest in tenant.keys), None) if key else None
