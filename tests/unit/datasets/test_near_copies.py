"""Groups of near copies: found again after any order of additions and removals, and nothing left of those removed."""

import random

import pytest
from tests.support.distinct_words import distinct_words

from understudies.datasets.near_copies import NearCopyGroups, masked_word_hashes


def words(number: int, *, changed: int = 0) -> frozenset[int]:
    """The words of a text, with so many of its last ones replaced."""
    own, other = distinct_words(number, 20).split(), distinct_words(10_000 + number, 20).split()
    return masked_word_hashes(" ".join([*own[: 20 - changed], *other[:changed]]))


def test_a_text_and_its_near_copies_are_one_group() -> None:
    groups = NearCopyGroups()
    names = [groups.assign(words(number)) for number in range(50)]
    assert len(set(names)) == len(groups) == 50
    assert [groups.assign(words(number, changed=2)) for number in range(50)] == names
    assert len(groups) == 50


def test_groups_that_share_a_rare_word_are_told_apart_and_removed_one_by_one() -> None:
    groups = NearCopyGroups()
    texts = [masked_word_hashes(f"shared {distinct_words(number, 3)}") for number in range(4)]
    names = [groups.assign(text) for text in texts]
    for number, name in enumerate(names):
        groups.remove(name)
        assert [groups.assign(text) for text in texts[number + 1 :]] == names[number + 1 :]
    assert len(groups) == 0


def test_what_was_removed_leaves_nothing_and_is_made_anew() -> None:
    rng, groups = random.Random(1), NearCopyGroups()
    kept: dict[str, frozenset[int]] = {}
    for number in range(600):
        text = words(rng.randrange(80), changed=rng.randrange(3))
        kept.setdefault(groups.assign(text), text)
        if number % 3 == 0:
            name = rng.choice(list(kept))
            groups.remove(name)
            del kept[name]
            groups.remove(name)
    assert len(groups) == len(kept)
    again = NearCopyGroups.from_state(groups.state())
    assert again.state() == groups.state()
    probes = [words(number, changed=1) for number in range(100)]
    assert [again.assign(probe) for probe in probes] == [groups.assign(probe) for probe in probes]
    for name in list(groups.state()):
        groups.remove(name)
    assert (groups.state(), len(groups._frequency)) == (NearCopyGroups().state(), 0)


def test_a_group_that_is_created_twice_counts_its_words_once() -> None:
    groups = NearCopyGroups()
    name = groups.create(words(1))
    assert groups.create(words(1)) == name
    groups.remove(name)
    assert (len(groups), len(groups._frequency)) == (0, 0)


@pytest.mark.parametrize("seed", range(20))
def test_a_copy_is_near_from_an_index_of_exactly_seven_tenths(seed: int) -> None:
    rng = random.Random(seed)
    for _ in range(50):
        both = 7 * rng.randint(1, 10)
        union = both * 10 // 7
        drawn = rng.sample(range(2**32), union + 1)
        shared, rest, more = drawn[:both], drawn[both:union], drawn[union]
        split = rng.randint(0, len(rest))
        one, other = frozenset([*shared, *rest[:split]]), frozenset([*shared, *rest[split:]])

        near, far = NearCopyGroups(), NearCopyGroups()
        assert near.assign(one) == near.assign(other)
        assert far.assign(one) != far.assign(other | {more})
