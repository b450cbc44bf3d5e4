from understudies.events import Message, request_of
from understudies.students.lora.prompt import answer_text, to_turns

USER = {"role": "user", "content": "hello"}


def test_text_parts_become_text_and_a_developer_is_a_system() -> None:
    parts = {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}
    request = request_of({"messages": [{"role": "developer", "content": "rules"}, parts]})
    assert to_turns(request) == [{"role": "system", "content": "rules"}, {"role": "user", "content": "a\nb"}]


def test_tools_images_and_results_of_tools_are_not_plain_text() -> None:
    image = {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:,"}}]}
    call = {"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    asked = {"role": "assistant", "content": None, "tool_calls": [call]}
    tool = {"type": "function", "function": {"name": "f", "parameters": {}}}
    for body in (
        {"messages": [USER], "tools": [tool]},
        {"messages": [image]},
        {"messages": [USER, asked]},
        {"messages": [USER, {"role": "tool", "tool_call_id": "1", "content": "done"}]},
    ):
        assert to_turns(request_of(body)) is None
    assert answer_text(Message.model_validate(asked)) is None
    assert answer_text(Message(role="assistant", content="yes")) == "yes"
