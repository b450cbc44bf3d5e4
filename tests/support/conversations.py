"""Conversations: requests of several turns, and the inputs that they are."""

from understudies.datasets.inputs import Input, identify_input
from understudies.events import Request, fingerprint, request_of


def conversation_request(*texts: str, system: str = "Sort the message.") -> Request:
    """A conversation: the user and the assistant by turns, the user last."""
    roles = ("user", "assistant")
    messages = [{"role": roles[n % 2], "content": text} for n, text in enumerate(texts)]
    return request_of({"messages": [{"role": "system", "content": system}, *messages]})


def request_input(request: Request, episode: str | None = None) -> Input:
    """The input of a request."""
    return identify_input(request, fingerprint(request), episode)
