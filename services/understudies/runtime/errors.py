"""Define errors named by what the caller should do."""

from typing import Final


class UnderstudiesError(Exception):
    """Base class of the errors that services raise on purpose."""


class ConfigurationError(UnderstudiesError):
    """Report a missing or wrong setting; the message names the setting and the remedy."""


class RetryLater(UnderstudiesError):  # noqa: N818 - named by what to do
    """Report a temporarily unavailable dependency; the same work will succeed later."""


class Reject(UnderstudiesError):  # noqa: N818 - named by what to do
    """Report an input that can never be handled; dead-letter it and continue."""


class StopService(UnderstudiesError):  # noqa: N818 - named by what to do
    """Report that continuing would do harm; stop the service until a person has investigated."""


SERVICE_ERRORS: Final = (ConfigurationError, RetryLater, StopService)
"""Errors that say nothing about a single work item: code that skips an item on any exception re-raises these."""
