"""An assistant's message, apart from how an API writes it."""

from understudies.events import Message, ToolCall

_MIN_UNIQUE_ID = 12
"""A shorter id, such as `call_0`, is no name for a call in a conversation of several."""


def message_text(message: Message) -> str | None:
    """What was said, in one piece; None beside calls of tools or a refusal alone."""
    content = message.content
    if content is None or isinstance(content, str):
        return content
    texts = [part["text"] for part in content if isinstance(part.get("text"), str)]
    return "".join(str(text) for text in texts) if texts else None


def refusal_text(message: Message) -> str | None:
    """The words in which an answer was refused."""
    if not isinstance(message.content, list):
        return None
    return next((str(part["refusal"]) for part in message.content if part.get("type") == "refusal"), None)


def build_content(texts: list[str], refusals: list[str], *, beside_calls: bool) -> str | list[dict[str, str]] | None:
    """Canonical content: the text in one piece, nothing beside calls of tools, or parts where it was refused."""
    text = "".join(texts)
    if refusals:
        said = [{"type": "text", "text": text}] if text else []
        return [*said, {"type": "refusal", "refusal": "".join(refusals)}]
    return text if texts or not beside_calls else None


def tool_call_id(tool: ToolCall, call: str, place: int, kind: str = "call") -> str:
    """The id of a tool's call: its own where it can be told from others, else one from the call's id.

    At most 40 characters, which is what chat completions take back, where the call's id is a UUID and there are
    fewer than 1000 of them.
    """
    return tool.id if len(tool.id) >= _MIN_UNIQUE_ID else f"{kind}_{call.replace('-', '')}{place}"
