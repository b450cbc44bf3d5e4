"""Add up the log-probabilities of the tokens that an answer consists of."""

from collections.abc import Sequence

from understudies.students.endpoint.schema import TokenLogprob


class AnswerTokens:
    """Sum and number of the log-probabilities of an answer's tokens.

    With a JSON schema, llama.cpp lets a model begin with a Markdown fence, which it cuts from the text but not from the
    tokens. Forced upon a model that would not write it, each of its tokens has a log-probability of about -9, so that
    the sum would say nothing of the answer. Tokens that came before any text are therefore held until there is some,
    and dropped if the text is spelled by the tokens that come with it.
    """

    def __init__(self) -> None:
        self.log_sum = 0.0
        self.count = 0
        self._held: list[TokenLogprob] = []
        self._has_text = False

    def add(self, tokens: Sequence[TokenLogprob], text: str = "", *, is_text_only: bool = True) -> None:
        """Add the tokens of a chunk and the text that it adds; other content may come with it, such as thoughts."""
        if is_text_only and not text and not self._has_text:
            self._held += tokens
            return
        if not (is_text_only and _spelled(tokens).endswith(text)):
            self._count(self._held)
        self._held.clear()
        self._has_text = True
        self._count(tokens)

    def add_whole(self, tokens: Sequence[TokenLogprob], text: str) -> None:
        """Add the tokens of a complete answer: those that spell its text, and the last one, which ends it."""
        start = _spelled(tokens).find(text) if text else -1
        end, place = start + len(text), 0
        for number, token in enumerate(tokens):
            begin, place = place, place + len(token.text)
            is_inside = begin < end and place > start
            if start < 0 or is_inside or number == len(tokens) - 1:
                self._count([token])

    def _count(self, tokens: Sequence[TokenLogprob]) -> None:
        for token in tokens:
            if (log_probability := token.log_probability) is not None:
                self.log_sum += log_probability
                self.count += 1


def _spelled(tokens: Sequence[TokenLogprob]) -> str:
    return "".join(token.text for token in tokens)
