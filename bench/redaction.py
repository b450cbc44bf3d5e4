"""Measure what redaction finds: recall and precision on a made-up corpus with planted secrets and look-alikes.

Run `python -m bench.redaction`. Every sentence holds one planted text, which must be gone, or one look-alike, which
must stay. All of them are made up here, by a fixed seed; none is from a log. Precision counts changed look-alikes.
"""

import json
import random
import string
from collections.abc import Callable
from typing import Final

from understudies.events import FunctionCall, Message, Request, ToolCall
from understudies.redaction.account_numbers import has_valid_luhn
from understudies.redaction.packs import PACKS, build_redactor
from understudies.redaction.patterns import default_redactor
from understudies.redaction.redactor import Redactor, redact_request

_EACH: Final = 200
_Maker = Callable[[random.Random], str]

_FRAMES: Final = (
    "Hello, this is {name}. {} - can you look into it?",
    "Customer wrote: {}",
    "ticket 48213\n{}\nregards, {name}",
    '{{"note": "{}", "agent": "{name}"}}',
    "FYI {}, sent on 2026-03-04 at 10:15.",
)
_NAMES: Final = ("Ada", "Grace", "Edsger", "Barbara", "Niklaus")
_WORDS: Final = ("harbour", "invoice", "parcel", "router", "window", "garden", "ladder", "copper", "violet", "meadow")


def _pick(rng: random.Random, alphabet: str, count: int) -> str:
    return "".join(rng.choice(alphabet) for _ in range(count))


def _digits(rng: random.Random, count: int) -> str:
    return _pick(rng, string.digits, count)


_LETTERS_DIGITS: Final = string.ascii_letters + string.digits


def _email(rng: random.Random) -> str:
    return (
        f"write to {rng.choice(_WORDS)}.{rng.choice(_WORDS)}{rng.choice(['', '7', '+x'])}@{rng.choice(_WORDS)}.example"
    )


def _card(rng: random.Random) -> str:
    while True:
        number = rng.choice("45") + rng.choice("12345") + _digits(rng, 14)
        if has_valid_luhn(number):
            break
    sep = rng.choice(["", " ", "-"])
    return f"card {sep.join(number[at : at + 4] for at in range(0, 16, 4))}"


def _phone(rng: random.Random) -> str:
    area, line = rng.randint(200, 989), _digits(rng, 7)
    forms = (f"+44 20 {line[:4]} {line[3:7]}", f"({area}) {line[:3]}-{line[3:]}", f"+49{area}{line}")
    return f"call {rng.choice(forms)}"


def _key(rng: random.Random) -> str:
    body = _pick(rng, _LETTERS_DIGITS, 35) + "7"
    forms = (
        f"sk-proj-{body}",
        f"ghp_{body}",
        f"AKIA{_pick(rng, string.ascii_uppercase + string.digits, 15)}7",
        f"hf_{body}",
    )
    return f"key {rng.choice(forms)}"


def _password(rng: random.Random) -> str:
    secret = rng.choice(_WORDS) + _digits(rng, 2) + rng.choice("!#$%")
    plain = _pick(rng, string.ascii_lowercase, 9)
    forms = (
        f"password: {secret}",
        f"the password is {secret}",
        f"pwd={plain}",
        f"Passwort: {plain}",
        f"api key: {secret}{plain}",
    )
    return rng.choice((*forms, f"my pass phrase would be {secret}"))


def _url_password(rng: random.Random) -> str:
    scheme = rng.choice(["postgres", "redis", "https", "amqp"])
    secret = _pick(rng, _LETTERS_DIGITS, 10) + "7"
    return rng.choice((f"{scheme}://bob:{secret}@db.example/x", f"ftp as bob:{secret}@files.example"))


def _cloud_secret(rng: random.Random) -> str:
    base64 = _LETTERS_DIGITS + "/+"
    forms = (
        _pick(rng, base64, 40),
        _pick(rng, base64, 86) + "==",
        f"SG.{_pick(rng, _LETTERS_DIGITS, 22)}.{_pick(rng, _LETTERS_DIGITS, 43)}",
        f"dapi{_pick(rng, '0123456789abcdef', 32)}",
        f"https://hooks.slack.com/services/T{_digits(rng, 8)}/B{_digits(rng, 8)}/{_pick(rng, _LETTERS_DIGITS, 24)}",
    )
    return f"secret material {rng.choice(forms)}"


def _national_id(rng: random.Random) -> str:
    while True:
        number = _digits(rng, 9)
        if has_valid_luhn(number):
            break
    letters = "TRWAGMYFPDXBNJZSQVHLCKE"
    dni = rng.randint(10_000_000, 99_999_999)
    forms = (
        f"{rng.randint(1, 665):03d}-{rng.randint(1, 99):02d}-{rng.randint(1, 9999):04d}",
        f"{number[:3]} {number[3:6]} {number[6:]}",
        f"{dni}{letters[dni % 23]}",
        f"AB {_digits(rng, 2)} {_digits(rng, 2)} {_digits(rng, 2)} C",
    )
    return f"number {rng.choice(forms)}"


def _local_phone(rng: random.Random) -> str:
    line = _digits(rng, 8)
    forms = (
        f"020 {line[:4]} {line[4:]}",
        f"030/{line[:7]}",
        f"06 {line[:2]} {line[2:4]} {line[4:6]} {line[6:]}",
        f"0{line}9",
    )
    return f"ring {rng.choice(forms)}"


_PLANTED: Final[tuple[tuple[str, _Maker], ...]] = (
    ("e-mail", _email),
    ("payment card", _card),
    ("phone, international or American", _phone),
    ("key with a known beginning", _key),
    ("password in prose", _password),
    ("password in a URL", _url_password),
    ("secret of a cloud", _cloud_secret),
    ("national number", _national_id),
    ("phone, local form", _local_phone),
)


def _look_alike(rng: random.Random) -> str:
    line = _digits(rng, 10)
    return rng.choice(
        (
            f"order {line}",
            f"order {line[:3]}-{line[3:6]}-{line[6:]}",
            f"commit {_pick(rng, '0123456789abcdef', 40)}",
            f"total {rng.randint(1, 999)},{line[:3]}.{line[3:5]} EUR",
            f"on {rng.randint(1, 28):02d}.{rng.randint(1, 12):02d}.2026",
            f"version {rng.randint(0, 9)}.{rng.randint(10, 99)}.{rng.randint(100, 999)}",
            "the password is incorrect",
            "a password reset was asked for",
            "password: required",
            f"part {line[:3]} {line[3:6]} of {rng.randint(2, 9)}",
            f"at {rng.randint(0, 23):02d}:{rng.randint(0, 59):02d} in room 0{rng.randint(100, 399)}",
            f"src/{rng.choice(_WORDS)}/{rng.choice(_WORDS)}/{rng.choice(_WORDS)}{rng.choice(_WORDS).title()}.py",
            f"serial {rng.choice(_WORDS).upper()}-{line[:6]}",
            f"tracking 1Z{line}{line[:6]}",
        )
    )


_CREDENTIAL_NAMES: Final = (
    *("password", "dbPassword", "api_key", "apiKey", "access_token", "client_secret", "token", "secret", "pwd"),
    *("OPENAI_API_KEY", "x-api-key", "refreshToken", "private_key", "webhook_secret", "github_token", "passphrase"),
    *("pass", "auth", "signature", "pin", "creds"),
)
"""The last three are not known: they mostly name something else, or are rare."""
_HARMLESS_FIELDS: Final = (
    *(("token", "approved"), ("next_page_token", "aB3dE5gH7iJ9"), ("max_tokens", 900), ("primary_key", "id48213")),
    *(("password", "required"), ("password_policy", "at least 8 letters"), ("secret_santa", "Grace Hopper 7")),
    *(("authorization", "pre-approved by the insurer"), ("intent", "change_password"), ("key", "C sharp minor")),
    *(("api_key", "<your key>"), ("password", "The password of the user"), ("keyboard", "qwerty12345")),
    *(("pass", "boarding pass A12"), ("auth", "oauth2"), ("PWD", "/home/ada7"), ("passenger", "Ada Lovelace 7")),
    *(("secret", "internal"), ("token_count", "4821"), ("credentials", "none"), ("public_key", "see the handbook")),
)


def _json_text(rng: random.Random, name: str, value: object) -> str:
    """Return a text with a field of JSON: as a tool's arguments and results are, nested, pretty, or in prose."""
    fields: dict[str, object] = {"user": rng.choice(_NAMES), "count": rng.randint(1, 99), "note": rng.choice(_WORDS)}
    form = rng.randrange(6)
    if form == 0:
        fields["env"] = [{"name": name, "value": value}]
    else:
        fields[name] = value
    text = json.dumps(fields, indent=2 if form == 1 else None, separators=(",", ":") if form == 2 else None)
    if form == 3:
        return json.dumps({"method": "POST", "body": text})
    if form == 4:
        return f"It answered {text}, and then nothing."
    return f"```json\n{text}\n```" if form == 5 else text


def json_credential(rng: random.Random) -> tuple[str, str]:
    """Return a text with a credential in JSON, and the credential."""
    secret = rng.choice(
        (
            rng.choice(_WORDS) + _digits(rng, 2) + rng.choice("!#$%"),
            _pick(rng, _LETTERS_DIGITS, 24) + "7",
            _pick(rng, string.ascii_lowercase, 9) + _digits(rng, 1),
        )
    )
    return _json_text(rng, rng.choice(_CREDENTIAL_NAMES), secret), secret


def json_look_alike(rng: random.Random) -> str:
    """Return a text with JSON whose fields are named like credentials and hold none."""
    return _json_text(rng, *rng.choice(_HARMLESS_FIELDS))


def record(redact: Redactor, text: str) -> str:
    """Return what is recorded of a text as the arguments of a tool, and as its result."""
    call = ToolCall(id="call-1", function=FunctionCall(name="call", arguments=text))
    messages = (Message(role="assistant", tool_calls=(call,)), Message(role="tool", content=text))
    asked, told = redact_request(Request(messages=messages), redact).messages
    assert asked.tool_calls is not None
    return f"{asked.tool_calls[0].function.arguments} {told.content}"


def json_figures(redact: Redactor, seed: int = 7) -> tuple[float, int]:
    """Return the share of credentials in JSON that are gone, and how many look-alikes of as many are changed."""
    rng = random.Random(seed)
    planted = [json_credential(rng) for _ in range(_EACH)]
    alike = [json_look_alike(rng) for _ in range(_EACH)]
    gone = sum(secret not in record(redact, text) for text, secret in planted)
    return gone / _EACH, sum(record(redact, text) != f"{text} {text}" for text in alike)


def _sentence(rng: random.Random, planted: str) -> str:
    return rng.choice(_FRAMES).format(planted, name=rng.choice(_NAMES))


def _value_of(planted: str) -> str:
    """Return what must not stay: the last word, or for numbers in groups the last two."""
    words = planted.split(" ")
    return " ".join(words[-2:]) if words[-1].isdecimal() and len(words) > 2 and words[-2].isdecimal() else words[-1]


def recall(redact: Redactor, make: _Maker, seed: int = 7) -> float:
    """Return the share of planted texts whose value is gone."""
    rng = random.Random(seed)
    planted = [make(rng) for _ in range(_EACH)]
    return sum(_value_of(text) not in redact(_sentence(rng, text)) for text in planted) / _EACH


def precision(redact: Redactor, seed: int = 7) -> tuple[float, int]:
    """Return the share of changes that hit a planted text, and the number of look-alikes changed of as many."""
    rng = random.Random(seed)
    count = _EACH * len(_PLANTED)
    alike = [_sentence(rng, _look_alike(rng)) for _ in range(count)]
    wrong = sum(redact(text) != text for text in alike)
    right = round(sum(recall(redact, make, seed) for _, make in _PLANTED) * _EACH)
    return right / (right + wrong), wrong


def main() -> None:
    """Print the table of bench/README.md."""
    redactors = (("default", default_redactor), ("with all packs", build_redactor(PACKS)))
    print("| planted | " + " | ".join(name for name, _ in redactors) + " |")
    print("|---|" + "---|" * len(redactors))
    for name, make in _PLANTED:
        print(f"| {name} | " + " | ".join(f"{recall(redact, make):.1%}" for _, redact in redactors) + " |")
    in_json = [json_figures(redact) for _, redact in redactors]
    print("| credential in JSON | " + " | ".join(f"{share:.1%}" for share, _ in in_json) + " |")
    results = [precision(redact) for _, redact in redactors]
    print("| precision | " + " | ".join(f"{share:.1%}" for share, _ in results) + " |")
    print(
        f"| look-alikes changed, of {_EACH * len(_PLANTED):,} | "
        + " | ".join(str(wrong) for _, wrong in results)
        + " |"
    )
    print(f"| look-alikes in JSON changed, of {_EACH} | " + " | ".join(str(wrong) for _, wrong in in_json) + " |")


if __name__ == "__main__":
    main()
