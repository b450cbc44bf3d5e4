import json
import random
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.event_samples import ANSWERED

from understudies.client import combined, default_redactor, redacted
from understudies.events import Invocation, fingerprint
from understudies.redaction.account_numbers import has_valid_luhn, is_iban

KEYS = [
    "sk-proj-abc123def456ghi789jkl",
    "sk-ant-api03-AbCdEf0123456789_-xyz",
    "AKIAIOSFODNN7EXAMPLE",
    "ghp_0123456789abcdefghij0123456789abcdef",
    "github_pat_11ABCDEFG0abcdefghijkl",
    "xoxb-123456789012-abcdefghijkl",
    "AIzaSyA-1234567890abcdefghijklmnopqrstu",
    "hf_abcdefghijklmnopqrst0123",
    "hf_QxZbVtLkMnPoRsTuWxYzAbCdEfGhIjKlMn",
    "glpat-abcdefghij0123456789",
    "sk_live_0123456789abcdefghij",
]
PEM = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\nMIIEabc+/=\n-----END RSA PRIVATE KEY-----"
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9P"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ada.l+x@mail.example.co.uk. Next", "[EMAIL]. Next"),
        ("<jürgen@müller.de>,bob@example.org;", "<[EMAIL]>,[EMAIL];"),
        ("4111 1111 1111 1111 exp 12/27", "[CARD] exp 12/27"),
        ("card:4111111111111111,12/27", "card:[CARD],12/27"),
        ("5555-5555-5555-4444", "[CARD]"),
        ("amex 3782 822463 10005.", "amex [CARD]."),
        ("ref 1234 4111 1111 1111 1111 and 5555555555554444", "ref 1234 [CARD] and [CARD]"),
        ("DE89 3704 0044 0532 0130 00 BIC", "[IBAN] BIC"),
        ("gb29nwbk60161331926819", "[IBAN]"),
        ("DE89 3704 0044 0532 0130 00 GB29NWBK60161331926819", "[IBAN] [IBAN]"),
        ("call +49 (0)30 1234567. 2024 was", "call [PHONE]. 2024 was"),
        ("+44 20 7946 0958 (212) 555-0147 212-555-0147", "[PHONE] [PHONE] [PHONE]"),
        ("+14155552671 or (555) 123-4567 or 555-123-4567", "[PHONE] or [PHONE] or [PHONE]"),
        ("Authorization: Bearer abcdef1234567890xyz", "Authorization: Bearer [TOKEN]"),
        (f"jwt={JWT};", "jwt=[TOKEN];"),
        (f"key:\n{PEM}\nafter", "key:\n[PRIVATE_KEY]\nafter"),
        ("-----BEGIN PRIVATE KEY-----\nMIIE cut off", "[PRIVATE_KEY]"),
    ],
)
def test_personal_data_and_secrets_are_replaced(text: str, expected: str) -> None:
    assert default_redactor(text) == expected


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("around", ["{}", "export KEY={}\n", '"{}"', "a {}, b"])
def test_keys_are_replaced(key: str, around: str) -> None:
    assert default_redactor(around.format(key)) == around.format("[KEY]")


@pytest.mark.parametrize(
    "text",
    [
        "$1,234,567.89 and 1.299,00 EUR, -12.5%, +5,000,000.00",
        "profit +12345678.50",
        "2024-01-15 10:30:00 to 2024-02-16, 15.01.2024, 01/15/2024",
        "2024-01-15T10:30:00.123456789+00:00",
        "order 4711, order 1234567890123456, 114-1234567-1234567",
        "4111111111111112 fails its check digit",
        "1700000000000 ms, 1700000000000000 us",
        "ISBN 978-3-16-148410-0, UPS 1Z999AA10123456784",
        "192.168.100.200:8080, 10.0.0.1",
        "react@18.0.0-beta and 3@1.50 each, a@b",
        "DE89 3704 0044 0532 0130 01",
        "sk-learn-is-a-very-nice-library, the bearer internationalisation-of",
        "7f8d3c1e-1b2c-4d5e-8f90-123456789abc",
        "0.4111111111111111",
        "pi is 3.14159265358979323846",
        "1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16",
        "score 3-2, 555-1234, tel. extension 42",
    ],
)
def test_numbers_of_ordinary_text_stay(text: str) -> None:
    assert default_redactor(text) == text


@given(st.decimals(-(10**9), 10**9, places=2), st.dates(), st.integers(0, 10**9))
def test_amounts_dates_and_short_numbers_stay(amount: object, day: object, number: int) -> None:
    text = f"{amount} on {day}: {number}, #{number:06}"
    assert default_redactor(text) == text


@given(st.lists(st.sampled_from([*KEYS, JWT, PEM, "ada@example.org", "4111 1111 1111 1111", "x", " ", "\n"])))
def test_redacting_twice_changes_nothing(pieces: list[str]) -> None:
    once = default_redactor(" ".join(pieces))
    assert default_redactor(once) == once
    assert not any(secret in once for secret in (*KEYS, JWT, "ada@", "4111"))


SEEDS = "a|a@|a@a.|a.|%|1|1 |1-|+1|+1 |+1(1|555-|(555) |DE89|DE11 1111 |\n|-|-----BEGIN |eyJaaaaaa.|sk-|ghp_|AKIA|é|{|["
ADVERSARIAL = {
    seed: (seed * (1_000_000 // len(seed) + 1))[:1_000_000]
    for seed in (*SEEDS.split("|"), "-----BEGIN PRIVATE KEY-----", "4111 1111 1111 1111 ", "4111 1111 1111 1112 ")
}
ADVERSARIAL |= {
    "Bearer and blanks": "Bearer" + " " * 1_000_000,
    "eyJ and dashes": "eyJ" + "-" * 1_000_000,
    "long local part": "a" * 1_000_000 + "@",
    "long domain": "a@" + "a." * 500_000,
    "noise": "".join(random.Random(1).choices("a1@.-+ ()[]{}eyJsk\n=", k=1_000_000)),
}


@pytest.mark.parametrize("text", ADVERSARIAL.values(), ids=[repr(name) for name in ADVERSARIAL])
def test_a_megabyte_of_anything_takes_linear_time(text: str) -> None:
    begun = time.process_time()
    default_redactor(text)
    # a quadratic pattern takes minutes; linear ones take 0.1 to 3 s
    assert time.process_time() - begun < 20


def test_check_digits() -> None:
    assert has_valid_luhn("4111111111111111")
    assert not has_valid_luhn("4111111111111112")
    assert is_iban("GB29 NWBK 6016 1331 9268 19")
    assert not is_iban("GB29 NWBK 6016 1331 9268 18")


def _secretive() -> Invocation:
    body = ANSWERED.model_dump()
    call = {"id": "1", "function": {"name": "pay", "arguments": '{"to": "ada@example.org", "card": 4111111111111111}'}}
    body["request"]["messages"] = [
        {"role": "user", "content": [{"type": "text", "text": "I am ada@example.org"}]},
        {"role": "assistant", "content": None, "tool_calls": [call]},
    ]
    body["request"]["parameters"] = {"note": ["ada@example.org"], "max_tokens": 100}
    body["response"]["message"] = {"role": "assistant", "content": "Bye ada@example.org", "tool_calls": [call]}
    body |= {"error": "ada@example.org failed", "tags": {"who": "ada@example.org"}}
    return Invocation.model_validate(body)


def test_every_text_of_a_call_is_redacted() -> None:
    clean = redacted(_secretive())
    assert "ada@" not in clean.model_dump_json()
    assert "4111" not in clean.model_dump_json()
    assert clean.request.parameters == {"note": ["[EMAIL]"], "max_tokens": 100}
    assert clean.tags == {"who": "[EMAIL]"}
    assert clean.error == "[EMAIL] failed"


def test_the_fingerprint_is_of_what_is_left() -> None:
    before = _secretive()
    clean = redacted(before)
    assert clean.fingerprint == fingerprint(clean.request)
    assert clean.fingerprint != fingerprint(before.request)
    assert redacted(ANSWERED).fingerprint == ANSWERED.fingerprint
    assert redacted(ANSWERED) == ANSWERED


def test_json_stays_json() -> None:
    calls = redacted(_secretive()).request.messages[1].tool_calls
    assert calls is not None
    assert json.loads(calls[0].function.arguments) == {"to": "[EMAIL]", "card": "[CARD]"}


def test_redactors_combine_in_order() -> None:
    def shout(text: str) -> str:
        return text.upper()

    def names(text: str) -> str:
        return text.replace("ADA", "[NAME]")

    assert combined(default_redactor, shout, names)("ada, ada@example.org") == "[NAME], [EMAIL]"
    assert combined()("ada") == "ada"


def test_a_redactor_sees_numbers_outside_of_text_too() -> None:
    body: dict[str, Any] = {**ANSWERED.model_dump()}
    body["request"]["parameters"] = {"account": 4111111111111111, "flag": True, "share": 0.5}
    clean = redacted(Invocation.model_validate(body))
    assert clean.request.parameters == {"account": "[CARD]", "flag": True, "share": 0.5}
