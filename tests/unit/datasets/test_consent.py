"""Examples that may train a model, and those that may not."""

import pytest
from tests.support.datasets import intents

from understudies.datasets.consent import consent_tags, count_consents, may_train, without_refused
from understudies.datasets.dataset import Dataset


def marked(*consents: bool | None, synthetic: bool | None = None) -> Dataset:
    examples = intents(len(consents)).examples
    update = [{"consent": consent, "synthetic": synthetic} for consent in consents]
    return Dataset("triage", tuple(one.model_copy(update=change) for one, change in zip(examples, update, strict=True)))


@pytest.mark.parametrize(
    ("tenant", "call", "tag"),
    [
        (None, None, None),
        (True, None, "yes"),
        (None, True, "yes"),
        (True, False, "no"),
        (False, True, "no"),
        (False, None, "no"),
    ],
)
def test_a_refusal_by_the_tenant_or_the_call_counts(tenant: bool | None, call: bool | None, tag: str | None) -> None:
    assert consent_tags(tenant, call).get("consent") == tag


@pytest.mark.parametrize(
    ("consent", "at_all", "required"), [(True, True, True), (None, True, False), (False, False, False)]
)
def test_what_is_refused_never_trains_and_what_says_nothing_only_where_consent_is_not_required(
    consent: bool | None, at_all: bool, required: bool
) -> None:
    [example] = marked(consent).examples
    assert (may_train(example, required=False), may_train(example, required=True)) == (at_all, required)
    [written] = marked(consent, synthetic=True).examples
    assert may_train(written, required=True)


def test_they_are_left_out_of_every_split_and_counted() -> None:
    data = marked(*[True, None, False] * 20)
    kept = without_refused(data, required=True)
    assert {example.consent for example in kept.examples} == {True}
    assert len(kept.examples) == 20
    assert count_consents(data.examples) == {"given": 20, "not said": 20, "refused": 20}
    assert count_consents(marked(None, None).examples) == {}
    open_data = marked(None, True)
    assert without_refused(open_data, required=False) is open_data
