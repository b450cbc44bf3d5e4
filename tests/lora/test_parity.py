import pytest

from understudies.trainer.lora.parity import Parity


@pytest.mark.parametrize(
    ("calls", "lost", "gained", "is_broken"),
    [
        (64, 0, 0, False),
        (64, 1, 0, False),
        (64, 4, 3, False),
        (64, 5, 0, True),
        (64, 40, 1, True),
        (64, 0, 9, False),
        (12, 3, 0, False),
        (1000, 19, 0, False),
        (1000, 40, 10, True),
        (1000, 60, 39, True),
        (1000, 60, 50, False),
        (0, 0, 0, False),
    ],
)
def test_it_is_broken_if_more_is_lost_than_rounding_explains(
    calls: int, lost: int, gained: int, is_broken: bool
) -> None:
    assert Parity(calls, calls - lost - gained, lost, lost, gained).is_broken is is_broken


def test_it_says_how_often_both_agree() -> None:
    found = Parity(calls=64, same=50, trained_agreed=60, lost=8, gained=1)
    assert str(found) == (
        "of 64 validation calls the trained model agrees with the teacher on 60, "
        "the engine with the converted adapter on 53"
    )
    assert found.summary() == {"answered_as_trained": 0.78125, "parity": {"n": 64, "lost": 8, "gained": 1}}
