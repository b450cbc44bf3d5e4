"""Settings from the environment, and what is wrong with them in one line."""

import re
from typing import Any, Final, TypeVar

from pydantic import ValidationError
from pydantic_settings import BaseSettings, SettingsError

from understudies.runtime.errors import ConfigurationError

S = TypeVar("S", bound=BaseSettings)

_FIELD_PATTERN: Final = re.compile(r'for field "(\w+)"')
_INVALID_JSON: Final = "Input should be JSON, such as [0.05, 0.25, 1.0]"


def settings_from(kind: type[S], **options: Any) -> S:
    """Settings from the options that are given, else the environment; raises ConfigurationError that names which."""
    try:
        return kind(**{name: value for name, value in options.items() if value is not None})
    except ValidationError as error:
        first = error.errors(include_input=False)[0]
        field = str(first["loc"][0]) if first["loc"] else ""
        if options.get(field) is not None:
            raise ConfigurationError(f"--{field.replace('_', '-')}: {first['msg']}") from None
        raise _setting_error(kind, field, first["msg"]) from None
    except SettingsError as error:
        found = _FIELD_PATTERN.search(str(error))
        raise _setting_error(kind, found[1] if found else "", _INVALID_JSON) from None


def _setting_error(kind: type[BaseSettings], field: str, why: str) -> ConfigurationError:
    variable = f"{kind.model_config.get('env_prefix', '')}{field.upper()}"
    return ConfigurationError(f"{variable}: {why}; correct the variable or unset it")
