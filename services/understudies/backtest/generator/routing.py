"""`language-routing`: route messages to desks by language; late in the log the teacher renames its largest desk."""

import random
from collections.abc import Iterator

from understudies.backtest.generator.language_phrases import CLOSINGS, MIDDLES, OPENINGS, WEIGHTS, WORDS
from understudies.backtest.generator.synthetic_call import SyntheticCall, add_typos, fill_template, random_slot_filler

CHANGES_AT = 0.75
LARGEST = "desk-english"
RENAMED = "desk-global"
_NOISE = 0.01
_TYPOS = 0.02

SYSTEM = """You route messages to the desk that answers in the writer's language. Decide by the message's \
language, not by names, places or quoted product titles in it.

Desks: desk-english, desk-german, desk-french, desk-spanish, desk-italian, desk-global.

Very short messages are routed by their most telling word. Mixed messages go to the desk of the longer part. \
Reply with the name of the desk only."""


def generate_routing(rng: random.Random, count: int) -> Iterator[SyntheticCall]:
    """Generate messages with the desk that answers them."""
    languages, weights = list(WEIGHTS), list(WEIGHTS.values())
    slot = random_slot_filler(rng, WORDS)
    for place in range(count):
        language = rng.choices(languages, weights)[0]
        said = language if rng.random() >= _NOISE else rng.choice(languages)
        answer = f"desk-{said}"
        if answer == LARGEST and place >= CHANGES_AT * count:
            answer = RENAMED
        yield SyntheticCall(SYSTEM, add_typos(fill_template(_message(rng, language), slot), rng, _TYPOS), answer)


def _message(rng: random.Random, language: str) -> str:
    middles = rng.sample(MIDDLES[language], rng.choice((1, 1, 2)))
    return " ".join((rng.choice(OPENINGS[language]), *middles, rng.choice(CLOSINGS[language])))
