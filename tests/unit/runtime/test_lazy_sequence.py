"""A lazy sequence looks like the list of its items, and makes only those that are looked at."""

import pytest

from understudies.runtime.lazy_sequence import LazySequence


class Squares(LazySequence[int]):
    def __init__(self) -> None:
        self.made: list[int] = []

    def __len__(self) -> int:
        return 5

    def _make(self, place: int) -> int:
        self.made.append(place)
        return place**2


def test_it_looks_like_the_list_of_its_items() -> None:
    items, squares = [0, 1, 4, 9, 16], Squares()
    assert list(squares) == items
    assert [squares[place] for place in range(-5, 5)] == [items[place] for place in range(-5, 5)]
    for index in (slice(None), slice(1, 3), slice(-2, None), slice(None, None, -2), slice(7, 9)):
        assert squares[index] == items[index]
    for place in (5, -6):
        with pytest.raises(IndexError):
            squares[place]


def test_only_what_is_looked_at_is_made() -> None:
    squares = Squares()
    assert (squares[-1], squares[1:3]) == (16, [1, 4])
    assert squares.made == [4, 1, 2]
