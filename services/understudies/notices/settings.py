"""Settings of notices."""

from pydantic import Field, HttpUrl, SecretStr, TypeAdapter, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

_URL = TypeAdapter(HttpUrl)


class NoticeSettings(BaseSettings):
    """Settings of notices, read from the environment with prefix `UNDERSTUDIES_NOTICES_`."""

    model_config = SettingsConfigDict(env_prefix="UNDERSTUDIES_NOTICES_", frozen=True)

    url: SecretStr | None = Field(
        default=None,
        description="webhook that notices are posted to, such as one of Slack; unset: they are only logged",
    )
    secret: SecretStr | None = Field(
        default=None, description="secret that signs them, `whsec_` and base64 or any text; unset: no signature"
    )
    timeout_s: float = Field(default=10.0, gt=0, description="longest wait for the webhook's answer")
    retry_hours: float = Field(default=24.0, gt=0, description="time after which a notice that nobody took is dropped")
    budget_share: float = Field(
        default=0.8, gt=0, le=1, description="share of a daily budget at which it counts as nearly spent"
    )

    @field_validator("url")
    @classmethod
    def _check_url(cls, url: SecretStr | None) -> SecretStr | None:
        if url is not None:
            # Without the value, which is a secret, in the error.
            try:
                _URL.validate_python(url.get_secret_value())
            except ValueError:
                raise ValueError("Input should be an http or https URL") from None
        return url
