"""Security settings reach the client, and secrets stay out of sight."""

from pathlib import Path

import pytest
from faststream.security import SASLPlaintext, SASLScram512
from pydantic import SecretStr

from understudies.budget.settings import BudgetSettings
from understudies.runtime.bus.admin import bootstrap_servers, build_security
from understudies.runtime.errors import ConfigurationError
from understudies.runtime.settings import BusSettings, StoreSettings, settings_from


def test_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNDERSTUDIES_BUS_BOOTSTRAP", "one:9092, two:9092")
    monkeypatch.setenv("UNDERSTUDIES_BUS_SASL_PASSWORD", "secret")
    settings = BusSettings()
    assert bootstrap_servers(settings) == ["one:9092", "two:9092"]
    assert "secret" not in repr(settings)


def test_the_store_url_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNDERSTUDIES_STORE_URL", "clickhouse://user:secret@host/db")
    assert "secret" not in repr(StoreSettings())


def test_a_plain_connection_has_no_security() -> None:
    assert build_security(BusSettings(security_protocol="PLAINTEXT")) is None


@pytest.mark.parametrize(
    ("protocol", "mechanism", "kind", "encrypted"),
    [("SASL_SSL", "SCRAM-SHA-512", SASLScram512, True), ("SASL_PLAINTEXT", "PLAIN", SASLPlaintext, False)],
)
def test_sasl_carries_user_and_password(protocol: str, mechanism: str, kind: type, encrypted: bool) -> None:
    settings = BusSettings.model_validate(
        {
            "security_protocol": protocol,
            "sasl_mechanism": mechanism,
            "sasl_user": "observer",
            "sasl_password": SecretStr("secret"),
        }
    )
    made = build_security(settings)
    assert isinstance(made, kind)
    assert isinstance(made, SASLPlaintext | SASLScram512)
    assert (made.username, made.password, made.use_ssl) == ("observer", "secret", encrypted)


def test_sasl_without_a_user_names_the_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("UNDERSTUDIES_BUS_SASL_USER", raising=False)
    with pytest.raises(ConfigurationError, match="UNDERSTUDIES_BUS_SASL_USER"):
        build_security(BusSettings(security_protocol="SASL_SSL"))


def test_tls_trusts_the_given_authority_alone(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="UNDERSTUDIES_BUS_CA_FILE cannot be read: No such file"):
        build_security(BusSettings(security_protocol="SSL", ca_file=tmp_path / "missing.pem"))
    made = build_security(BusSettings(security_protocol="SSL"))
    assert made is not None
    assert made.use_ssl
    assert made.ssl_context is not None


def test_an_option_comes_before_the_environment_and_one_not_given_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNDERSTUDIES_BUS_BOOTSTRAP", "kafka:9092")
    assert settings_from(BusSettings, bootstrap="other:1").bootstrap == "other:1"
    assert settings_from(BusSettings, bootstrap=None).bootstrap == "kafka:9092"


@pytest.mark.parametrize(
    ("variable", "value", "why"),
    [
        ("MIN_EXAMPLES", "abc", "Input should be a valid integer"),
        ("GROWTH", "1", "Input should be greater than 1"),
        ("CANARY", "0.05,0.25", "Input should be JSON"),
    ],
)
def test_a_variable_that_is_wrong_is_named_with_the_remedy(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, why: str
) -> None:
    monkeypatch.setenv(f"UNDERSTUDIES_BUDGET_{variable}", value)
    with pytest.raises(
        ConfigurationError, match=rf"^UNDERSTUDIES_BUDGET_{variable}: {why}.*; correct the variable or unset"
    ):
        settings_from(BudgetSettings)


def test_an_option_that_is_wrong_is_named_as_such() -> None:
    with pytest.raises(ConfigurationError, match=r"^--min-examples: Input should be greater than or equal to 20$"):
        settings_from(BudgetSettings, min_examples=3)
