"""Errors, named by what the caller should do."""

from typing import Final


class UnderstudiesError(Exception):
    """Root of the errors that services raise on purpose."""


class ConfigurationError(UnderstudiesError):
    """A setting is missing or wrong; the message names it and the remedy."""


class RetryLater(UnderstudiesError):  # noqa: N818 - named by what to do
    """Something that is needed is away for now; the same work will succeed later."""


class Reject(UnderstudiesError):  # noqa: N818 - named by what to do
    """This input can never be handled; set it aside and go on."""


class StopService(UnderstudiesError):  # noqa: N818 - named by what to do
    """Going on would do harm; stop the service and let a person look."""


SERVICE_ERRORS: Final = (ConfigurationError, RetryLater, StopService)
"""What says nothing about one piece of work: whoever sets a piece aside for whatever it raises lets these pass."""
