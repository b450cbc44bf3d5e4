"""What of system prompts is a template, and what is a call's context."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.contexts import REFUNDS, examples_decided_by_record, passage, request

from understudies.datasets.errors import ArtifactError
from understudies.datasets.inputs import Input, identify_input
from understudies.datasets.system_template import NO_CONTEXT, SystemTemplate
from understudies.events import words_of

CASES = (("Grant", "gold"), ("Refuse", "silver"))
texts = st.lists(st.sampled_from(["a", "b", "c", "the plan", "is", "gold", "17", "\ud800", "2026-05-04"]), max_size=12)


def learnt(*systems: str) -> SystemTemplate:
    return SystemTemplate.learn([request(system) for system in systems])


@given(st.lists(texts.map(" ".join), min_size=1, max_size=12), texts.map(" ".join))
def test_what_is_no_context_is_a_word_of_the_template(prompts: list[str], asked: str) -> None:
    template = learnt(*prompts)
    prompt = words_of(asked)
    differing = template.context_mask(prompt)
    assert len(differing) == len(prompt.written)
    known = set(" ".join(template.common).split())
    assert all(own or word in known for own, word in zip(differing, prompt.masked, strict=True))
    assert set(template.context(request(asked)).split()) <= set(prompt.written)


def test_a_record_is_read_with_its_labels_wherever_it_stands() -> None:
    for prompt in ("{r}\nAnswer only with yes or no.", "You are Ann.\n{r}\nAnswer yes or no.", "Say yes or no. {r}"):
        plans = ["gold", "silver", "none"] * 20
        template = learnt(*(prompt.format(r=f"Name of the plan: {plan}.") for plan in plans))
        assert template.context(request(prompt.format(r="Name of the plan: gold."))).endswith("plan: gold.")
        assert template.differs == 1.0


def test_what_the_record_says_in_words_of_the_template_is_context() -> None:
    cases = (f"{say} it if the customer is on the {plan} plan today" for say, plan in CASES)
    rules = f"{' and '.join(cases)}."
    facts = [f"Status: the customer is on the {plan} plan today" for plan in ("gold", "silver")]
    template = learnt(*(f"{rules} {fact}" for fact in facts * 30))
    one, other = (template.context(request(f"{rules} {fact}")) for fact in facts)
    assert one != other
    assert one.count("gold") > other.count("gold")


def test_dates_times_ids_and_counters_are_no_context() -> None:
    prompts = [
        f"It is {n % 24}:{n % 60:02d} on 2026-05-{n % 28 + 1:02d}, ticket {n}, id a{n:031x}." for n in range(200)
    ]
    assert learnt(*prompts) == NO_CONTEXT


def test_a_number_that_comes_back_is_context() -> None:
    rng = random.Random(3)
    template = learnt(*(f"It is {n % 24}:00. Open orders: {rng.randint(0, 3)} of this customer." for n in range(200)))
    assert template.context(request("It is 11:00. Open orders: 2 of this customer.")) == "orders: 2"


def test_a_new_version_of_the_prompt_is_no_context() -> None:
    assert not learnt(*["Sort the mail by urgency."] * 100, *["Sort the mail by sender, please."] * 100).has_context


def test_without_system_prompts_there_is_no_context() -> None:
    assert SystemTemplate.learn([]) == learnt("", "") == learnt("Sort it.") == NO_CONTEXT
    assert learnt(*["", "Sort it."] * 30) == NO_CONTEXT


def test_it_is_kept_in_files() -> None:
    template = SystemTemplate.learn([example.request for example in examples_decided_by_record(60)])
    assert template.has_context
    assert SystemTemplate.from_files(template.to_files()) == template
    assert NO_CONTEXT.to_files() == {}
    assert SystemTemplate.from_files({}) == NO_CONTEXT
    with pytest.raises(ArtifactError, match="template of the system prompts"):
        SystemTemplate.from_files({"context.json": b"[]"})


def test_how_prompts_differ_is_told_with_the_numbers() -> None:
    template = SystemTemplate.learn([example.request for example in examples_decided_by_record(60)])
    length = f"about {template.characters} characters of context"
    assert template.description == f"the system prompt differs from call to call in 100% of calls ({length})"


def test_long_prompts_with_all_sorts_of_characters_are_read() -> None:
    rng = random.Random(4)
    prompts = [f"{REFUNDS} \ud800 {passage(rng, 20_000)}" for _ in range(3)]
    assert all(learnt(*prompts).context(request(prompt)) for prompt in prompts)


def test_equal_texts_in_other_contexts_are_other_inputs_that_share_their_turns() -> None:
    examples = examples_decided_by_record(60, texts=("May I?",))
    template = SystemTemplate.learn([example.request for example in examples])
    inputs = [identify_input(example.request, example.fingerprint, system=template) for example in examples]
    assert len({one.reading_name for one in inputs}) == 60
    assert len({one.text for one in inputs}) == 1
    blind = [identify_input(example.request, example.fingerprint) for example in examples]
    assert len({one.reading_name for one in blind}) == 1
    assert Input("f", "text").identifying_names == Input("f", "text").names
