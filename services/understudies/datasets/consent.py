"""Say whether a call may train a model, as its data's owner stated it: by a tag that the call's event carries."""

from collections.abc import Iterable, Mapping
from typing import Final

from understudies.datasets.dataset import Dataset, Example

CONSENT_TAG: Final = "consent"
"""The tag of an event: `yes` or `no`; without it, nothing was said."""
GIVEN: Final = ("yes", "true", "1")
REFUSED: Final = ("no", "false", "0")
"""What the tag may say, in whatever case; agents write it themselves."""


def consent_tags(tenant: bool | None, call: bool | None) -> dict[str, str]:
    """Return the tag of a call by its tenant's rule and its own statement: a refusal by either counts.

    >>> consent_tags(True, None), consent_tags(True, False), consent_tags(None, None)
    ({'consent': 'yes'}, {'consent': 'no'}, {})
    """
    said = [one for one in (tenant, call) if one is not None]
    return {CONSENT_TAG: "yes" if all(said) else "no"} if said else {}


def may_train(example: Example, *, required: bool) -> bool:
    """Return whether an example may train: never against a refusal, and if `required` only with consent.

    What a teacher wrote to train on has no owner who could refuse it; it is written near examples that may train.
    """
    return bool(example.synthetic) or (example.consent is True if required else example.consent is not False)


def without_refused(dataset: Dataset, *, required: bool) -> Dataset:
    """Return the dataset without the examples that may not train, in any of its splits."""
    kept = tuple(example for example in dataset.examples if may_train(example, required=required))
    return dataset if len(kept) == len(dataset.examples) else Dataset(dataset.task, kept)


def count_consents(examples: Iterable[Example]) -> dict[str, int]:
    """Return how many examples have consent, are refused, or of which nothing was said; empty if of none was."""
    counts: dict[str, int] = {}
    for example in examples:
        name = {True: "given", False: "refused", None: "not said"}[example.consent]
        if not example.synthetic:
            counts[name] = counts.get(name, 0) + 1
    return _sorted(counts) if counts.keys() - {"not said"} else {}


def _sorted(counts: Mapping[str, int]) -> dict[str, int]:
    return dict(sorted(counts.items()))
