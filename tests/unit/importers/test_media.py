"""Audio, images, videos and files: no lesson in an answer, not to be overlooked in a request, and no media in JSON."""

from pathlib import Path
from typing import Any

import orjson
import pytest
from tests.support.one_log import only, read

from understudies.dialects.capabilities import unsupported_feature

ASKED = [{"role": "user", "content": "The towels in room 12 were not changed."}]
ANSWER = {"role": "assistant", "content": "cleaning"}
IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,eA=="}}
COMPLETION = {"choices": [{"message": ANSWER, "finish_reason": "stop"}], "model": "gpt-4.1"}


@pytest.mark.parametrize("more", [{"audio": {"id": "audio_1", "transcript": "cleaning"}}, {"images": [IMAGE]}])
def test_an_answer_with_audio_or_images_is_no_lesson(tmp_path: Path, more: dict[str, Any]) -> None:
    for content in ("cleaning", None):
        reply = {"choices": [{"message": {**ANSWER, "content": content, **more}, "finish_reason": "stop"}]}
        assert [one.reason for one in read(tmp_path, {"messages": ASKED, "response": reply}).skipped] == [
            "the answer is more than text: audio, an image, a video or a file"
        ]


@pytest.mark.parametrize("more", [{"audio": {"id": "audio_1"}}, {"images": [IMAGE]}])
def test_what_an_earlier_turn_said_aloud_or_drew_is_part_of_the_request(tmp_path: Path, more: dict[str, Any]) -> None:
    said = {**ANSWER, "content": None, **more}
    call = only(read(tmp_path, {"messages": [*ASKED, said, *ASKED], "response": COMPLETION}))
    assert unsupported_feature(call.request) == "messages"


@pytest.mark.parametrize(
    "part",
    [
        {"type": "blob", "modality": "image", "mime_type": "image/png", "content": "eA=="},
        {"type": "uri", "modality": "audio", "uri": "https://example.org/a.wav"},
        {"inlineData": {"mimeType": "image/png", "data": "eA=="}},
        {"image": {"format": "png", "source": {}}},
        {"type": "image", "source": {"type": "url", "url": "u"}},
    ],
)
def test_an_answer_with_a_part_that_is_no_text_is_no_lesson(tmp_path: Path, part: dict[str, Any]) -> None:
    answer = {"role": "assistant", "parts": [{"type": "text", "content": "cleaning"}, part]}
    (skipped,) = read(tmp_path, {"messages": ASKED, "response": answer}).skipped
    assert skipped.reason == "the answer is more than text: audio, an image, a video or a file"


@pytest.mark.parametrize(
    "answer",
    [
        {"type": "document", "room": 12},
        {"type": "image", "source": "camera"},
        {"document": "invoice", "label": "cleaning"},
        {"image": None, "audio": False},
    ],
)
@pytest.mark.parametrize("is_choice", [False, True])
def test_an_answer_in_json_may_name_media_itself(tmp_path: Path, answer: dict[str, Any], is_choice: bool) -> None:
    message = {"role": "assistant", "content": answer}
    reply = {"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]} if is_choice else message
    call = only(read(tmp_path, {"messages": ASKED, "response": reply}))
    assert orjson.loads(call.response.message.text) == answer


def test_a_part_that_is_no_list_may_be_an_image(tmp_path: Path) -> None:
    drawn = {"role": "model", "parts": {"inlineData": {"mimeType": "image/png", "data": "eA=="}}}
    (skipped,) = read(tmp_path, {"messages": ASKED, "response": {"candidates": [{"content": drawn}]}}).skipped
    assert skipped.reason == "the answer is more than text: audio, an image, a video or a file"
