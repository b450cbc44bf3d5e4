"""What the made-up customers talk about: matters, what they want of each, and how that is said."""

TOPIC_PHRASES: dict[str, tuple[str, ...]] = {
    "invoice": ("invoice", "bill"),
    "parcel": ("parcel", "package"),
    "password": ("password", "login code"),
    "voucher": ("voucher", "gift card"),
    "subscription": ("subscription", "monthly box"),
    "address": ("delivery address", "home address"),
    "refund": ("refund", "money back"),
    "app": ("app", "mobile app"),
    "card": ("credit card", "bank card"),
    "warranty": ("warranty", "guarantee"),
    "visit": ("appointment", "technician's visit"),
    "newsletter": ("newsletter", "mailing list"),
}

ACTION_PHRASES: dict[str, tuple[str, ...]] = {
    "cancel": (
        "please cancel my {matter}.",
        "I do not want the {matter} any more, cancel it.",
        "stop the {matter} right away, I no longer need it.",
        "how can I get rid of the {matter} for good?",
    ),
    "change": (
        "I need to change the {matter}.",
        "could you update the {matter} for me?",
        "the {matter} has to be replaced by a new one.",
        "how do I edit my {matter}?",
    ),
    "missing": (
        "the {matter} never arrived.",
        "I still have not received the {matter}.",
        "where is my {matter}? I have been waiting for {n} days.",
        "there is no trace of the {matter}.",
    ),
    "wrong": (
        "the {matter} is wrong.",
        "there is an error in the {matter}, it is not what I ordered.",
        "the {matter} shows the wrong name and amount.",
        "something is incorrect about the {matter}.",
    ),
    "broken": (
        "the {matter} does not work.",
        "the {matter} is rejected each time I try.",
        "I keep getting an error message with the {matter}.",
        "the {matter} stopped working since {day}.",
    ),
    "copy": (
        "please send me a copy of the {matter}.",
        "could I have the {matter} once more as a PDF?",
        "I need a duplicate of the {matter} for our records.",
        "can you resend the {matter} by e-mail?",
    ),
    "price": (
        "how much does the {matter} cost?",
        "what do you charge for the {matter}?",
        "why did the price of the {matter} go up to {amount}?",
        "is there a fee of {amount} for the {matter}?",
    ),
    "extend": (
        "can the {matter} be extended by {n} weeks?",
        "I would like to renew the {matter}.",
        "my {matter} expires on {day}, please prolong it.",
        "how long is the {matter} valid, and can I make that longer?",
    ),
}

VAGUE_PHRASES = (
    "I am writing about the {matter}.",
    "there is something about my {matter} that I need to discuss.",
    "a question concerning the {matter} and order {order}.",
    "it is again about the {matter}, as on {day}.",
    "could we talk about the {matter}?",
    "same issue with the {matter} as {n} days ago.",
)

WEEKEND_PHRASES = (
    "We are out with the children, so text me instead.",
    "Sorry to write at the weekend.",
    "I only have time for this on a Saturday.",
    "Nobody answers your phone on a Sunday.",
)
