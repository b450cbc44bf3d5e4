"""Made-up orders by e-mail, whose answers are values that stand in them."""

import json
import random
from collections.abc import Callable, Sequence
from datetime import date, timedelta
from typing import Any

from tests.support.datasets import example

from understudies.datasets.dataset import Example
from understudies.events import FunctionCall, Message, ToolCall

LAYOUTS = (
    "Hello,\nplease send {quantity} {item} to {city}. Our number is {reference}.{due}\nThe price is {symbol}{amount}.",
    "Order {reference}\nArticle: {item}\nQty: {quantity}\nShip to: {city}\nTotal: {symbol}{amount}\n{due}",
    "{city} needs {item}, {quantity} pieces ({reference}). We pay {symbol}{amount}.{due}",
)
UNSEEN_LAYOUT = "REORDER;{symbol}{amount};{reference};{city};{item};{quantity}{due}"
_CURRENCIES = {"€": "EUR", "$": "USD", "£": "GBP"}
_ITEMS = ("staplers", "blue ball pens", "ring binders", "sticky notes", "a4 paper", "desk lamps")
_CITIES = ("Basel", "New York", "Graz", "Porto Alegre", "Lyon", "San Marino", "Oslo")

Write = Callable[[dict[str, Any]], Message]


def write_json(fields: dict[str, Any]) -> Message:
    """An answer of one line."""
    return Message(role="assistant", content=json.dumps(fields, ensure_ascii=False))


def write_tool_call(fields: dict[str, Any]) -> Message:
    """An answer that calls a tool."""
    function = FunctionCall(name="book_order", arguments=json.dumps(fields))
    return Message(role="assistant", tool_calls=(ToolCall(id=f"call-{fields['reference']}", function=function),))


def make_orders(n: int, *, seed: int = 1, layouts: Sequence[str] = LAYOUTS, write: Write = write_json) -> list[Example]:
    """`n` orders with their answers."""
    rng = random.Random(seed)
    return [_order(rng, number, layouts, write) for number in range(n)]


def _order(rng: random.Random, number: int, layouts: Sequence[str], write: Write) -> Example:
    symbol = rng.choice(list(_CURRENCIES))
    due = date(2026, 1, 1) + timedelta(days=rng.randrange(360)) if rng.random() < 0.7 else None
    fields: dict[str, Any] = {
        "reference": f"PO-{rng.randrange(1000, 99_999)}",
        "item": rng.choice(_ITEMS),
        "quantity": rng.choice((5, 12, 48, 100, 1250)),
        "delivery": {"city": rng.choice(_CITIES), "due": due and due.isoformat()},
        "total": round(rng.uniform(5, 9_000), 2),
        "currency": _CURRENCIES[symbol],
        "status": "new",
    }
    text = rng.choice(layouts).format(
        reference=fields["reference"],
        item=fields["item"],
        quantity=f"{fields['quantity']:,}",
        city=fields["delivery"]["city"],
        due=f" Delivery by {due.day}.{due.month}.{due.year}." if due else "",
        symbol=symbol,
        amount=f"{fields['total']:,.2f}",
    )
    return example(text, write(fields), number)
