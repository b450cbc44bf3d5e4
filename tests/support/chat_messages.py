"""Short ways to write messages and requests."""

from understudies.events import FunctionCall, Message, Request, ToolCall


def assistant_message(text: str) -> Message:
    """An assistant's text."""
    return Message(role="assistant", content=text)


def tool_call_message(*calls: tuple[str, str]) -> Message:
    """An assistant's calls of tools: (name, arguments)."""
    return Message(
        role="assistant",
        tool_calls=tuple(ToolCall(function=FunctionCall(name=name, arguments=given)) for name, given in calls),
    )


def user_request(text: str, *, system: str = "", temperature: float | None = 0) -> Request:
    """A request of one user message."""
    prompt = (Message(role="system", content=system),) if system else ()
    return Request(messages=(*prompt, Message(role="user", content=text)), temperature=temperature)
