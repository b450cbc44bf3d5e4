"""Read and build an assistant's message in canonical form, independent of any API."""

from understudies.events import Message, ToolCall

_MIN_UNIQUE_ID = 12
"""The minimum length of a tool call's id: a shorter one, such as `call_0`, is not unique in a conversation."""


def message_text(message: Message) -> str | None:
    """Return the message's text, joined; None if the message has only tool calls or a refusal."""
    content = message.content
    if content is None or isinstance(content, str):
        return content
    texts = [part["text"] for part in content if isinstance(part.get("text"), str)]
    return "".join(str(text) for text in texts) if texts else None


def refusal_text(message: Message) -> str | None:
    """Return the text of the refusal, or None if the answer was not refused."""
    if not isinstance(message.content, list):
        return None
    return next((str(part["refusal"]) for part in message.content if part.get("type") == "refusal"), None)


def build_content(texts: list[str], refusals: list[str]) -> str | list[dict[str, str]] | None:
    """Build canonical content: the joined text, None where no text was said at all, or parts for a refusal."""
    text = "".join(texts)
    if refusals:
        said = [{"type": "text", "text": text}] if text else []
        return [*said, {"type": "refusal", "refusal": "".join(refusals)}]
    return text if texts else None


def tool_call_id(tool: ToolCall, call: str, place: int, kind: str = "call") -> str:
    """Return the id of a tool call: its own if it is long enough to be unique, else one derived from the call's id.

    A derived id has at most 40 characters, the most that chat completions accept, provided that the call's id is a
    UUID and there are fewer than 1000 tool calls.
    """
    return tool.id if len(tool.id) >= _MIN_UNIQUE_ID else f"{kind}_{call.replace('-', '')}{place}"
