"""Remember which models of a teacher refuse to report the usage of a stream."""

from typing import Final

from understudies.router.upstream.failures import AttemptFailed

_REFUSAL_STATUSES: Final = frozenset({400, 422, 501})
_CRASH_STATUS: Final = 500
"""What a server that crashes on an unknown option answers, and also one that crashes on anything else."""
_OPTION_NAMES: Final = ("stream_options", "include_usage")
_MAX_MODELS: Final = 1000
"""Callers choose the model names, so what is remembered is bounded."""


class StreamUsageOption:
    """Whether to add `stream_options` to the streams of a teacher, by model.

    Until a model has answered with the option, any refusal of a body may be due to it; then only one that names it.
    A crash that does not name it may have another cause, so that the second one in a row tells.
    """

    def __init__(self, *, enabled: bool) -> None:
        self._enabled = enabled
        self._accepted: set[str] = set()
        self._refused: set[str] = set()
        self._suspected: set[str] = set()

    def is_wanted(self, model: str) -> bool:
        """Return whether to add the option."""
        return self._enabled and model not in self._refused

    def may_be_refused(self, model: str, failed: AttemptFailed) -> bool:
        """Return whether the option may be the reason of a failure."""
        if _names_option(failed):
            return True
        is_suspicious = failed.error.status in _REFUSAL_STATUSES or failed.error.status == _CRASH_STATUS
        return is_suspicious and model not in self._accepted

    def record_acceptance(self, model: str) -> None:
        """Remember that the model streams with the option."""
        if model not in self._accepted:
            self._suspected.discard(model)
            _remember(self._accepted, model)

    def record_refusal(self, model: str, failed: AttemptFailed) -> None:
        """Remember that the model streams without the option, after it has failed so with it."""
        is_crash = failed.error.status == _CRASH_STATUS and not _names_option(failed)
        if is_crash and model not in self._suspected:
            _remember(self._suspected, model)
            return
        self._accepted.discard(model)
        self._suspected.discard(model)
        _remember(self._refused, model)


def _names_option(failed: AttemptFailed) -> bool:
    error = failed.error
    told = error.message if error.raw is None else error.raw.decode("utf-8", "replace")
    return any(name in told for name in _OPTION_NAMES)


def _remember(models: set[str], model: str) -> None:
    if len(models) >= _MAX_MODELS:
        models.clear()
    models.add(model)
