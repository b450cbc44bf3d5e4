"""`ticket-triage`: assign support messages to one of eight queues."""

import random
from collections.abc import Iterator

from understudies.backtest.generator.synthetic_call import SyntheticCall, add_typos, fill_template, random_slot_filler
from understudies.backtest.generator.ticket_phrases import ASKS, CLOSINGS, DETAILS, GREETINGS, ISSUES, WEIGHTS, WORDS

_TWO_ISSUES = 0.015
_NOISE = 0.006
_TYPOS = 0.03

SYSTEM = """You triage the support inbox of an online shop for household goods. Read the customer's message and reply \
with exactly one queue, in lower case, and nothing else.

Queues:
- billing: charges, invoices, payment methods, double charges, discounts that were not applied
- shipping: where a parcel is, late deliveries, addresses, couriers, tracking numbers
- returns: sending goods back, exchanges, return labels, the state of a refund for returned goods
- account: signing in, passwords, codes, changing e-mail or personal data, closing an account
- technical: the app or the web site does not work, errors, crashes, pages that do not load
- product: questions about goods before buying: size, material, compatibility, stock
- damage: goods that arrived broken, incomplete or different from what was ordered
- subscription: the monthly plan, pausing, cancelling or changing it, the date of the next box

Rules:
1. Where a message names several matters, choose the one that the customer wants settled first.
2. Ignore greetings, signatures and quoted text.
3. A message in anger is triaged like any other; never reply to the customer.
4. Where nothing fits, choose the queue whose staff would forward it with the least delay.

Reply with the name of the queue only."""


def generate_triage(rng: random.Random, count: int) -> Iterator[SyntheticCall]:
    """Generate messages with the queue by a rule, from a teacher that makes occasional errors."""
    queues, weights = list(ISSUES), [WEIGHTS[queue] for queue in ISSUES]
    for _ in range(count):
        queue = rng.choices(queues, weights)[0]
        second = rng.choice([other for other in queues if other != queue]) if rng.random() < _TWO_ISSUES else None
        answer = second if second and rng.random() < 0.5 else queue
        if rng.random() < _NOISE:
            answer = rng.choice(queues)
        yield SyntheticCall(SYSTEM, _message(rng, queue, second), answer)


def _message(rng: random.Random, queue: str, second: str | None) -> str:
    slot = random_slot_filler(rng, WORDS)
    parts = [rng.choice(GREETINGS), rng.choice(ISSUES[queue])]
    if second:
        parts.append("Also, " + rng.choice(ISSUES[second]))
    if rng.random() < 0.6:
        parts.append(rng.choice(DETAILS))
    parts += [rng.choice(ASKS), rng.choice(CLOSINGS)]
    text = fill_template(" ".join(part for part in parts if part), slot)
    if rng.random() < 0.15:
        text = text.lower()
    return add_typos(text, rng, _TYPOS)
