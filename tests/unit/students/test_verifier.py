"""A second student's own answer confirms or contradicts a generated one."""

import json

import pytest
from tests.support.chat_messages import assistant_message, user_request
from tests.support.orders import make_orders

from understudies.datasets.errors import ArtifactError
from understudies.judges.registry import parse_judge
from understudies.students.extractor.student import ExtractorStudent
from understudies.students.verifier import Verifier

JUDGE = parse_judge("json")
ORDER = make_orders(1, seed=2)[0]


@pytest.fixture(scope="module")
def verifier() -> Verifier:
    return Verifier(ExtractorStudent.fit(make_orders(240, seed=1), JUDGE, seed=1), JUDGE)


async def test_it_confirms_what_it_finds_itself_and_contradicts_the_rest(verifier: Verifier) -> None:
    own = await verifier.answer(ORDER.request)
    assert own is not None
    assert own.confidence > 0.5
    same = json.dumps(dict(reversed(json.loads(ORDER.answer.text).items())), indent=2)
    for text, agrees in ((same, True), ('{"something": "else"}', False), ("no JSON", False)):
        assert verifier.check(own, assistant_message(text)) == (agrees, own.confidence)


async def test_it_says_nothing_of_what_it_cannot_answer(verifier: Verifier) -> None:
    own = await verifier.answer(user_request(""))
    assert own is None
    assert verifier.check(own, ORDER.answer) is None


async def test_it_comes_back_from_its_files(verifier: Verifier) -> None:
    files = verifier.to_files()
    assert all(name.startswith("verifier-") for name in files), "apart from those of the student that it checks"
    loaded = Verifier.from_files({**files, "lora.json": b"{}"})
    assert loaded is not None
    assert loaded.to_files() == files
    assert await loaded.answer(ORDER.request) == await verifier.answer(ORDER.request)
    assert Verifier.from_files({"lora.json": b"{}"}) is None


@pytest.mark.parametrize("damage", [b"", b"{}", b'{"judge": "unheard of"}'])
def test_a_damaged_one_is_refused(verifier: Verifier, damage: bytes) -> None:
    with pytest.raises(ArtifactError, match="the verifier is invalid"):
        Verifier.from_files({**verifier.to_files(), "verifier-judge.json": damage})


def test_one_without_its_extractor_is_refused(verifier: Verifier) -> None:
    files = {name: data for name, data in verifier.to_files().items() if name != "verifier-extractor.json"}
    with pytest.raises(ArtifactError, match="extractor"):
        Verifier.from_files(files)
