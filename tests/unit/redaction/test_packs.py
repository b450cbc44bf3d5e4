"""What packs of patterns find beside the default, and what they leave alone."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from understudies.events import Message, Request
from understudies.redaction.packs import PACKS, Pack, build_redactor
from understudies.redaction.patterns import default_redactor
from understudies.redaction.redactor import redact_request

FOUND: dict[Pack, list[tuple[str, str]]] = {
    "passwords": [
        ("password: hunter2", "password: [SECRET]"),
        ("The password is hunter2.", "The password is [SECRET]."),
        ("Passwort: geheim99!", "Passwort: [SECRET]!"),
        ("pwd=abc123; next", "pwd=[SECRET]; next"),
        ("api_key = 'abcd1234efgh'", "api_key = '[SECRET]'"),
        ("postgres://bob:s3cret@db.example.com/x", "postgres://[CREDENTIALS]@db.example.com/x"),
        ("redis://:s3cret@cache:6379/0", "redis://[CREDENTIALS]@cache:6379/0"),
        ("AWS_SECRET_ACCESS_KEY=abcd1234efgh", "AWS_SECRET_ACCESS_KEY=[SECRET]"),
        ("log in as bob:s3cret!@ftp.example.org", "log in as [CREDENTIALS]@ftp.example.org"),
    ],
    "cloud_secrets": [
        ("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "[KEY]"),
        ("AWS_SECRET_ACCESS_KEY=wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "AWS_SECRET_ACCESS_KEY=[KEY]"),
        (
            f"AccountName=a;AccountKey={'aB1/' * 21}Zz==;EndpointSuffix=b",
            "AccountName=a;AccountKey=[KEY];EndpointSuffix=b",
        ),
        ("SG." + "a1" * 11 + "." + "Bc2_" * 10 + "xyz", "[KEY]"),
        ("at https://hooks.slack.com/services/T0/B0/0123456789abcdefghij", "at https://hooks.slack.com/services/[KEY]"),
        ("https://x.blob.example/a?sv=1&sig=abcdefghij0123456789%3D", "https://x.blob.example/a?sv=1&sig=[KEY]"),
    ],
    "national_ids": [
        (number, "[NATIONAL_ID]")
        for number in (
            *("123-45-6789", "AB 12 34 56 C", "046 454 286", "1 85 05 78 006 084 91", "12345678Z", "X1234567L"),
            *("RSSMRA85T10A562S", "86095742719", "85.07.30-033.28", "44051401359", "811218-9876", "131052-308T"),
            "529.982.247-25",
        )
    ],
    "local_phones": [
        (f"call {number} now", "call [PHONE] now")
        for number in (
            "020 7946 0958",
            "(030) 123 4567",
            "01 23 45 67 89",
            "555 123 4567",
            "089/123456-78",
            "0800 123456",
        )
    ],
}
LEFT: dict[Pack, list[str]] = {
    "passwords": [
        *("the password is incorrect", "your password is expiring soon", 'password: "required"', "password: ****"),
        *("password: ${DB_PASSWORD}", "a password reset", "tokens: 1,200", "at 10:30@noon", "ratio 3:4"),
    ],
    "cloud_secrets": ["da39a3ee5e6b4b0d3255bfef95601890afd80709", "a" * 40, "services/understudies/router/recording"],
    "national_ids": [
        *("123-456-789", "000-12-3456", "046 454 287", "12345678A", "86095742718", "44051401358", "811218-9875"),
        *("131052-308A", "529.982.247-26", "111.111.111-11", "2024-01-02", "ORD-123-45-6789", "1.234.567.890"),
    ],
    "local_phones": [
        *("01.02.2024", "2024-01-02", "order 0123456789", "12 000 000", "0.5 10 20", "01-02-2024 1234", "at 08:15"),
        *("0 12 34", "total 020 4000 0000 EUR"[:9], "0012 of 0400", "room 0101"),
    ],
}


@pytest.mark.parametrize(("pack", "text", "clean"), [(pack, *case) for pack, cases in FOUND.items() for case in cases])
def test_what_a_pack_finds(pack: Pack, text: str, clean: str) -> None:
    assert build_redactor([pack])(text) == clean


@pytest.mark.parametrize(("pack", "text"), [(pack, text) for pack, texts in LEFT.items() for text in texts])
def test_what_a_pack_leaves_alone(pack: Pack, text: str) -> None:
    assert build_redactor([pack])(text) == text


def test_an_indian_number_has_one_check_digit_of_ten() -> None:
    redact = build_redactor(["national_ids"])
    assert [redact(f"2345 6789 012{digit}") for digit in range(10)].count("[NATIONAL_ID]") == 1


def test_packs_find_what_the_default_finds_too() -> None:
    assert build_redactor(PACKS)("ada@example.org, password: hunter2") == "[EMAIL], password: [SECRET]"
    assert build_redactor() is default_redactor


def test_patterns_of_ones_own_come_first() -> None:
    redact = build_redactor([], {"staff": r"E-\d{6}"})
    assert redact("E-123456 and ada@example.org") == "[STAFF] and [EMAIL]"


@pytest.mark.parametrize(
    ("packs", "patterns", "why"),
    [
        (["passports"], {}, r"no redaction pack is named 'passports'; there are passwords"),
        ([], {"X": "("}, r"'X' is no regular expression"),
        ([], {"X": "a*"}, r"'X' matches an empty text"),
    ],
)
def test_what_cannot_be_done_is_said(packs: list[Pack], patterns: dict[str, str], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        build_redactor(packs, patterns)


@given(st.text(max_size=200))
def test_any_text_is_redacted(text: str) -> None:
    assert isinstance(build_redactor(PACKS)(text), str)


@pytest.mark.parametrize("hostile", ["password: ", "a:", "0 1", "x:1@", "1 ", "https://a:", "pwd is ", "-123", "A1"])
def test_long_texts_take_linear_time(hostile: str) -> None:
    redact = build_redactor(PACKS)
    assert isinstance(redact(hostile * 20_000), str)


def test_a_request_is_redacted_by_packs() -> None:
    request = Request(messages=(Message(role="user", content="my password: hunter2"),))
    redacted = redact_request(request, build_redactor(["passwords"]))
    assert redacted.messages[0].content == "my password: [SECRET]"
