"""Remember which models of a teacher refuse to report the usage of a stream."""

from typing import Final

from understudies.router.upstream.failures import AttemptFailed

_REFUSAL_STATUSES: Final = frozenset({400, 422, 501})
_OPTION_NAMES: Final = ("stream_options", "include_usage")
_MAX_MODELS: Final = 1000
"""Callers choose the model names, so what is remembered is bounded."""


class StreamUsageOption:
    """Whether to add `stream_options` to the streams of a teacher, by model.

    Until a model has answered with the option, any refusal of a body may be due to it; then only one that names it.
    """

    def __init__(self, *, enabled: bool) -> None:
        self._enabled = enabled
        self._accepted: set[str] = set()
        self._refused: set[str] = set()

    def is_wanted(self, model: str) -> bool:
        """Return whether to add the option."""
        return self._enabled and model not in self._refused

    def may_be_refused(self, model: str, failed: AttemptFailed) -> bool:
        """Return whether the option may be the reason of a failure."""
        error = failed.error
        told = error.message if error.raw is None else error.raw.decode("utf-8", "replace")
        if any(name in told for name in _OPTION_NAMES):
            return True
        return error.status in _REFUSAL_STATUSES and model not in self._accepted

    def record_acceptance(self, model: str) -> None:
        """Remember that the model streams with the option."""
        if model not in self._accepted:
            _remember(self._accepted, model)

    def record_refusal(self, model: str) -> None:
        """Remember that the model streams only without the option."""
        self._accepted.discard(model)
        _remember(self._refused, model)


def _remember(models: set[str], model: str) -> None:
    if len(models) >= _MAX_MODELS:
        models.clear()
    models.add(model)
