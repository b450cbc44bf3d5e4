"""Made-up invoices of several layouts, whose answers are values that stand in them or follow from those."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from tests.support.datasets import example
from tests.support.orders import Write, write_json

from understudies.datasets.dataset import Example

DAYS_TO_PAY = 30
_GOODS = (
    "staplers", "blue ball pens", "ring binders", "sticky notes", "A4 paper", "desk lamps", "whiteboard markers",
    "envelopes C5", "office chairs", "paper clips", "USB cables", "coffee mugs",
)  # fmt: skip
_FIRST_NAMES = ("Ana", "Bela", "Carl", "Dora", "Emil", "Fleur", "Gita", "Hugo", "Ines", "Jonas", "Kira", "Luca")
_LAST_NAMES = ("Novak", "Meier", "Rossi", "Dubois", "Jensen", "Silva", "Kovacs", "Lindt", "Moreau", "Olsen", "Peters")
_TRADES = ("Trading Ltd", "GmbH", "& Sons", "Logistics", "Bakery", "Partners AG", "Printing House", "Studio")
_SYMBOLS = {"EUR": "€", "USD": "$", "GBP": "£"}


@dataclass(frozen=True)
class Invoice:
    """What an invoice says; amounts in cents."""

    number: str
    customer: str
    contact: tuple[str, str] | None
    issued: date
    currency: str
    lines: tuple[tuple[str, int, int], ...]

    @property
    def total(self) -> int:
        """The sum of quantity times price."""
        return sum(quantity * price for _, quantity, price in self.lines)

    @property
    def answer(self) -> dict[str, Any]:
        """The fields of the invoice."""
        return {
            "invoice_number": self.number,
            "customer": self.customer,
            "contact": {"name": self.contact[0], "phone": self.contact[1]} if self.contact else None,
            "issued": self.issued.isoformat(),
            "due": (self.issued + timedelta(days=DAYS_TO_PAY)).isoformat(),
            "currency": self.currency,
            "lines": [
                {
                    "description": goods,
                    "quantity": quantity,
                    "unit_price": price / 100,
                    "amount": quantity * price / 100,
                }
                for goods, quantity, price in self.lines
            ],
            "line_count": len(self.lines),
            "total": self.total / 100,
        }


def _english(cents: int) -> str:
    return f"{cents / 100:,.2f}"


def _european(cents: int) -> str:
    return _english(cents).translate(str.maketrans(",.", ".,"))


def _table(invoice: Invoice) -> str:
    symbol = _SYMBOLS[invoice.currency]
    rows = [
        f"{goods:<22} {quantity:>5} {symbol + _english(price):>10} {symbol + _english(quantity * price):>12}"
        for goods, quantity, price in invoice.lines
    ]
    contact = f"Contact: {invoice.contact[0]}, {invoice.contact[1]}\n" if invoice.contact else ""
    return (
        f"INVOICE {invoice.number}\n\nDate: {invoice.issued:%d %B %Y}\nBill to: {invoice.customer}\n{contact}\n"
        f"{'Item':<22} {'Qty':>5} {'Price':>10} {'Amount':>12}\n" + "\n".join(rows) + "\n\n"
        f"Total due: {symbol}{_english(invoice.total)}\nPayment within {DAYS_TO_PAY} days of the date of the invoice.\n"
    )


def _german(invoice: Invoice) -> str:
    rows = [
        f"Pos. {index}: {quantity} x {goods} zu je {_european(price)} {invoice.currency}"
        for index, (goods, quantity, price) in enumerate(invoice.lines, start=1)
    ]
    contact = f"Ansprechpartner: {invoice.contact[0]}\nTelefon: {invoice.contact[1]}\n" if invoice.contact else ""
    return (
        f"Rechnung Nr. {invoice.number}\nRechnungsdatum: {invoice.issued.day}.{invoice.issued.month}."
        f"{invoice.issued.year}\nKunde: {invoice.customer}\n{contact}\n" + "\n".join(rows) + "\n\n"
        f"Gesamtbetrag: {_european(invoice.total)} {invoice.currency}\n"
        f"Zahlbar ohne Abzug innerhalb von {DAYS_TO_PAY} Tagen.\n"
    )


def _letter(invoice: Invoice) -> str:
    rows = [
        f"- {goods} ({quantity} pcs) at {invoice.currency} {_english(price)}"
        for goods, quantity, price in invoice.lines
    ]
    contact = f"\nQuestions? Call {invoice.contact[0]} on {invoice.contact[1]}." if invoice.contact else ""
    return (
        f"Dear {invoice.customer},\n\nthank you for your order. Please find our invoice {invoice.number} of "
        f"{invoice.issued.isoformat()} below:\n" + "\n".join(rows) + "\n\n"
        f"The total of {invoice.currency} {_english(invoice.total)} is payable in {DAYS_TO_PAY} days.{contact}\n"
        "\nKind regards\nYour supplier\n"
    )


def _export(invoice: Invoice) -> str:
    rows = [
        f"{index} | {goods} | {_english(price)} | {quantity} | {_english(quantity * price)}"
        for index, (goods, quantity, price) in enumerate(invoice.lines, start=1)
    ]
    contact = f"{invoice.contact[0]} | {invoice.contact[1]}" if invoice.contact else "none"
    return (
        f"doc_no = {invoice.number}\nclient = {invoice.customer}\nperson = {contact}\n"
        f"doc_date = {invoice.issued:%b %d, %Y}\ncurrency = {invoice.currency}\n"
        "no | article | unit | count | sum\n" + "\n".join(rows) + f"\ngrand_total = {_english(invoice.total)}\n"
    )


def unseen_layout(invoice: Invoice) -> str:
    """An invoice in a layout of its own."""
    rows = [f"{quantity} unités, {goods}: {_european(price)} l'unité" for goods, quantity, price in invoice.lines]
    contact = f"Interlocuteur {invoice.contact[0]}, tél. {invoice.contact[1]}. " if invoice.contact else ""
    return (
        f"Facture établie le {invoice.issued:%d/%m/%Y} pour la société {invoice.customer}, réf. {invoice.number}. "
        + contact
        + "Détail : "
        + "; ".join(rows)
        + f". Montant à régler {_european(invoice.total)} {invoice.currency}."
    )


Layout = Callable[[Invoice], str]
LAYOUTS: tuple[Layout, ...] = (_table, _german, _letter, _export)


def make_invoices(
    n: int,
    *,
    seed: int = 1,
    layouts: Sequence[Layout] = LAYOUTS,
    write: Write = write_json,
    lines: tuple[int, int] = (1, 5),
    after: str = "",
) -> list[Example]:
    """`n` invoices with their answers, of as many lines; each followed by a text."""
    rng = random.Random(seed)
    made = []
    for number in range(n):
        invoice = _draw(rng, lines)
        made.append(example(rng.choice(layouts)(invoice) + after, write(invoice.answer), number))
    return made


def _draw(rng: random.Random, lines: tuple[int, int]) -> Invoice:
    person = f"{rng.choice(_FIRST_NAMES)} {rng.choice(_LAST_NAMES)}"
    phone = f"+{rng.randrange(30, 50)} {rng.randrange(10, 99)} {rng.randrange(100, 999)} {rng.randrange(10, 99)}"
    return Invoice(
        number=f"INV-{rng.randrange(1000, 99_999)}",
        customer=f"{rng.choice(_LAST_NAMES)} {rng.choice(_TRADES)}",
        contact=(person, phone) if rng.random() < 0.6 else None,
        issued=date(2026, 1, 1) + timedelta(days=rng.randrange(360)),
        currency=rng.choice(list(_SYMBOLS)),
        lines=tuple(
            (goods, rng.choice((1, 2, 5, 12, 48, 100)), rng.randrange(45, 29_000))
            for goods in rng.sample(_GOODS, rng.randint(*lines))
        ),
    )
