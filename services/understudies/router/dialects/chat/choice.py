"""One choice of a chat completion, which grows delta by delta."""

from typing import Any

from understudies.router.dialects.chat.tool_calls import ToolCallAccumulator


class ChoiceAccumulator:
    """What a stream has said of a choice."""

    def __init__(self) -> None:
        self._texts: dict[str, list[str]] = {}
        self._other: dict[str, Any] = {}
        self._calls: ToolCallAccumulator | None = None
        self._logprobs: dict[str, list[Any]] = {}
        self.finish_reason: Any = None

    def add(self, choice: dict[str, Any]) -> int:
        """Take the next delta; how many characters it adds."""
        if choice.get("finish_reason"):
            self.finish_reason = choice["finish_reason"]
        if choice.get("logprobs"):
            self._note(choice["logprobs"])
        delta = choice.get("delta")
        return sum(self._add(name, value) for name, value in delta.items()) if isinstance(delta, dict) else 0

    def build(self, index: int) -> dict[str, Any]:
        """The choice so far, as it is where nothing is streamed."""
        texts = {name: "".join(pieces) for name, pieces in self._texts.items()}
        message = {"role": "assistant", "content": None, "refusal": None, **self._other, **texts}
        if self._calls is not None:
            message["tool_calls"] = self._calls.build()
        logprobs = self._logprobs or None
        return {"index": index, "message": message, "logprobs": logprobs, "finish_reason": self.finish_reason}

    def _add(self, name: str, value: Any) -> int:
        if name == "role" or value is None:
            return 0
        if isinstance(value, str):
            self._texts.setdefault(name, []).append(value)
            return len(value)
        if name == "tool_calls":
            self._calls = self._calls or ToolCallAccumulator()
            return self._calls.add(value)
        self._other[name] = _merge_delta(self._other.get(name), value)
        return 0

    def _note(self, logprobs: Any) -> None:
        for name, tokens in logprobs.items() if isinstance(logprobs, dict) else ():
            if isinstance(tokens, list):
                self._logprobs.setdefault(name, []).extend(tokens)


def _merge_delta(old: Any, new: Any) -> Any:
    """What providers add beside the text: pieces of text inside an object grow too, all else is as last said."""
    if not isinstance(old, dict) or not isinstance(new, dict):
        return new
    both = {name: old[name] + new[name] for name in new if _are_texts(old.get(name), new[name])}
    return {**old, **new, **both}


def _are_texts(old: Any, new: Any) -> bool:
    return isinstance(old, str) and isinstance(new, str)
