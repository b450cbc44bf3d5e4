"""Write an answer as people read it."""

from typing import Final

from understudies.events import Message

MAX_SHOWN_CHARACTERS: Final = 2000


def answer_text(message: Message, limit: int = MAX_SHOWN_CHARACTERS) -> str:
    """Return the text of an answer, then each tool call as `name(arguments)`; cut with an ellipsis beyond `limit`."""
    calls = [f"{call.function.name}({call.function.arguments or ''})" for call in message.tool_calls or ()]
    text = "\n".join(part for part in (message.text, *calls) if part)
    return text if len(text) <= limit else f"{text[: limit - 1]}…"
