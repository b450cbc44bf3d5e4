"""`order-extraction`: convert an order by e-mail to JSON; machines send many orders twice."""

import json
import random
from collections.abc import Iterator

from understudies.backtest.generator.synthetic_call import SyntheticCall

_RESENT = 0.30
_SELECTION = 40

SYSTEM = """You read e-mails that reach the order desk of a wholesaler of stationery and extract the order.

Reply with one JSON object on a single line and nothing else, with these keys in this order:
- "customer": the name of the ordering company or person as written
- "reference": the customer's order number as written, without words around it
- "item": the article ordered, in lower case
- "quantity": an integer
- "amount": the total as a number with two decimals, without currency
- "currency": the ISO 4217 code of the total
- "due": the requested day of delivery as YYYY-MM-DD, or null where none is named

Never invent a value. Ignore quoted mails, disclaimers, signatures and advertising. Where two totals are given, take \
the one that includes tax. Dates are written in the European order."""

_NAMES = ("Mira", "Jan", "Leonie", "Ahmed", "Sofia", "Viktor", "Aiko", "Rosa", "Felix", "Ines", "Hugo", "Nadia", "Emil")
_SURNAMES = ("Novak", "Brandt", "Okafor", "Silva", "Haas", "Moreau", "Lind", "Costa", "Weiss", "Duarte", "Kaya", "Berg")
_FIRMS = ("Logistics", "& Sons", "Print", "Studio", "Trading", "Architects", "School", "Clinic", "Library", "Legal")
_PLACES = (
    "Harbour",
    "North",
    "Alpine",
    "Mill",
    "Silver",
    "Oak",
    "River",
    "Castle",
    "Summit",
    "Linden",
    "Coast",
    "Old Town",
)
_ITEMS = (
    "a4 paper", "blue ball pens", "ring binders", "sticky notes", "envelopes c5", "whiteboard markers", "staplers",
    "desk pads", "hole punches", "label rolls", "copy paper a3", "pencils hb", "index cards", "file boxes",
)  # fmt: skip
_CURRENCIES = (("EUR", "€"), ("USD", "$"), ("GBP", "£"), ("CHF", "CHF "))
_BODIES = (
    "Dear team,\n\nplease send us {quantity} {item}. Our order number is {reference}. The total should be "
    "{symbol}{amount} including tax.{due}\n\nRegards\n{customer}",
    "Hello,\n\nwe would like to order {item} ({quantity} units), ref. {reference}.{due} As agreed the price is "
    "{symbol}{amount}.\n\n{customer}",
    "Order {reference}\nCustomer: {customer}\nArticle: {item}\nQty: {quantity}\nTotal: {symbol}{amount}\n{due}",
    "Good morning, {customer} here. Could you deliver {quantity} x {item}?{due} Please quote {reference} on the "
    "invoice; we expect to pay {symbol}{amount} in all.",
    "FW: purchase\n\n> please see below\n\n{customer} orders under {reference}: {quantity} {item} for "
    "{symbol}{amount}.{due}\n\nThis message is confidential.",
)
_NOTICE = (
    "AUTOMATIC REORDER NOTICE\nAccount: {customer}\nReorder no.: {reference}\nItem: {item}\nQuantity: {quantity}\n"
    "Total incl. tax: {amount} {currency}\n{due}\nDo not reply to this message."
)


def generate_extraction(rng: random.Random, count: int) -> Iterator[SyntheticCall]:
    """Generate orders with their values as JSON; about three in ten repeat an earlier notice word for word."""
    notices = [_order(rng, _NOTICE) for _ in range(max(min(_SELECTION, count // 20), 1))]
    for _ in range(count):
        yield rng.choice(notices) if rng.random() < _RESENT else _order(rng, rng.choice(_BODIES))


def _order(rng: random.Random, body: str) -> SyntheticCall:
    currency, symbol = rng.choice(_CURRENCIES)
    day, month = rng.randint(1, 28), rng.randint(2, 12)
    due = rng.random() < 0.7
    values: dict[str, object] = {
        "customer": _customer(rng),
        "reference": f"{rng.choice(('PO', 'ORD', 'BE', 'Q'))}-{rng.randint(1000, 99_999)}",
        "item": rng.choice(_ITEMS),
        "quantity": rng.choice((5, 10, 12, 20, 24, 25, 48, 50, 100, 144, 200, 250, 500)),
        "amount": rng.randint(1200, 480_000) / 100,
        "currency": currency,
        "due": f"2026-{month:02}-{day:02}" if due else None,
    }
    written = {**values, "amount": f"{values['amount']:.2f}", "symbol": symbol}
    written["due"] = f" Delivery by {day:02}.{month:02}.2026." if due else ""
    return SyntheticCall(SYSTEM, body.format(**written), json.dumps(values, ensure_ascii=False))


def _customer(rng: random.Random) -> str:
    if rng.random() < 0.4:
        return f"{rng.choice(_NAMES)} {rng.choice(_SURNAMES)}"
    return f"{rng.choice((*_PLACES, *_SURNAMES))} {rng.choice(_FIRMS)}"
