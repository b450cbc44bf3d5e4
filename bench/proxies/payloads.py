"""What is asked and answered in the router's bench: about 0.5 kB each way."""

import json
from typing import Final

DISTINCT_REQUESTS: Final = 1000
"""Requests that differ: what a server remembers of a whole request shall not help it."""

_CARD = "000"
_REQUEST = json.dumps(
    {
        "model": "gpt-4o-mini",
        "messages": [
            {
                "role": "system",
                "content": "You sort a customer's message into one of a bank's intents: card_arrival, card_linking, "
                "exchange_rate, lost_or_stolen_card, top_up_failed, transfer_timing, wrong_amount_of_cash_received. "
                "Answer with the intent alone and with nothing else.",
            },
            {
                "role": "user",
                "content": f"My new card {_CARD} was said to arrive last Tuesday and it still has not come. "
                "What should I do?",
            },
        ],
        "temperature": 0,
        "max_tokens": 16,
    }
)

BEFORE, AFTER = _REQUEST.split(_CARD)
"""A request, without the three digits that tell it from the others."""

ANSWER = json.dumps(
    {
        "id": "chatcmpl-9x7Qm2nV5kTq0",
        "object": "chat.completion",
        "created": 1760000000,
        "model": "gpt-4o-mini-2024-07-18",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "card_arrival", "refusal": None},
                "logprobs": None,
                "finish_reason": "stop",
            }
        ],
        "usage": {
            "prompt_tokens": 93,
            "completion_tokens": 4,
            "total_tokens": 97,
            "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": 0},
        },
        "system_fingerprint": "fp_44added55e",
    }
)


def make_request(number: int) -> str:
    """One of the requests."""
    return f"{BEFORE}{number % DISTINCT_REQUESTS:03}{AFTER}"


def make_distinct_request(number: int) -> str:
    """A request that no other number makes."""
    return f"{BEFORE}{number:03}{AFTER}"


def make_chunk(content: str, finish_reason: str | None = None) -> bytes:
    """One event of a stream."""
    delta = {"role": "assistant", "content": content} if finish_reason is None else {}
    event = {
        "id": "chatcmpl-9x7Qm2nV5kTq0",
        "object": "chat.completion.chunk",
        "created": 1760000000,
        "model": "gpt-4o-mini-2024-07-18",
        "choices": [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}],
    }
    return b"data: " + json.dumps(event).encode() + b"\n\n"
