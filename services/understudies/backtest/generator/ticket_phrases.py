"""Phrases of the customers' messages in `ticket-triage`."""

WEIGHTS = {
    "shipping": 24,
    "billing": 17,
    "returns": 14,
    "account": 12,
    "technical": 10,
    "product": 9,
    "damage": 8,
    "subscription": 6,
}

WORDS: dict[str, tuple[str, ...]] = {
    "thing": (
        "kettle", "desk lamp", "coffee grinder", "cast iron pan", "toaster", "blender", "wool blanket", "knife set",
        "bath towel", "rice cooker", "fan heater", "office chair", "bookshelf", "duvet", "air purifier", "vacuum",
        "bread bin", "wall clock", "mirror", "garden hose", "laundry basket", "hand mixer", "casserole", "side table",
    ),
    "day": ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "last week", "yesterday", "the 3rd"),
    "name": (
        "Ana", "Tom", "Priya", "Jonas", "Mei", "Omar", "Lucía", "Kofi", "Ingrid", "Sam", "Yuki", "Elena", "Marek",
        "Noor", "Paul", "Zoë",
    ),
    "courier": ("the courier", "your carrier", "the delivery service", "the driver", "the parcel company"),
    "device": ("my phone", "my tablet", "a laptop", "an old iPad", "Android", "the desktop site"),
    "room": ("kitchen", "bedroom", "office", "bathroom", "hallway", "flat"),
    "tone": ("really", "quite", "honestly", "a bit", "frankly", "rather"),
}  # fmt: skip

GREETINGS = (
    "Hi,", "Hello,", "Hi there,", "Good morning,", "Good evening,", "Dear team,", "Hey,", "Dear support,", "", "",
    "Hello again,", "To whom it may concern,", "Hi, {name} here.", "Good day.",
)  # fmt: skip

ISSUES: dict[str, tuple[str, ...]] = {
    "billing": (
        "my card was charged twice for order {order}.",
        "there are two payments of {amount} on my bank statement and I only bought one {thing}.",
        "I need a proper invoice with our VAT number for order {order}.",
        "the discount code was not taken off the total, I paid {amount} in full.",
        "your checkout declined my credit card although it has enough funds.",
        "why was I billed {amount} when the price on the page was lower?",
        "can I pay order {order} by bank transfer instead of card?",
        "the invoice you mailed on {day} shows the wrong company name.",
        "I see a charge of {amount} from your shop that I do not recognise.",
        "the gift voucher balance was not used when I paid for the {thing}.",
    ),
    "shipping": (
        "my parcel with the {thing} has not arrived yet.",
        "the tracking number for {order} has not moved for {n} days.",
        "{courier} says it was delivered on {day} but nothing is here.",
        "could you tell me where order {order} is right now?",
        "I moved house, please send {order} to my new address instead.",
        "delivery was promised for {day} and I am still waiting for the {thing}.",
        "{courier} left a card but there is no parcel at the pick-up point.",
        "how long does delivery to the islands take for a {thing}?",
        "tracking shows my package stuck in the depot since {day}.",
        "can you have order {order} delivered to a neighbour, I am away for {n} days.",
        "the shipment of my {thing} is late again.",
    ),
    "returns": (
        "I want to send the {thing} back, it does not suit our {room}.",
        "please send me a return label for order {order}.",
        "I returned the {thing} {n} days ago, when do I get my refund?",
        "how do I exchange the {thing} for another colour?",
        "the return portal does not list order {order}, how can I send it back?",
        "is it still possible to return a {thing} after {n} weeks?",
        "you received my returned {thing} on {day} and the refund is still missing.",
        "I changed my mind about the {thing} and would like to return it unopened.",
        "can I hand in a return at the shop rather than by post?",
    ),
    "account": (
        "I forgot my password and the reset e-mail never comes.",
        "the sign-in code that you text me is always rejected.",
        "please change the e-mail address of my account to the new one.",
        "my account is locked after {n} wrong passwords.",
        "I would like to close my account and have my personal data deleted.",
        "how do I switch on two-step verification for my login?",
        "somebody else seems to have logged in to my account on {day}.",
        "my profile shows the wrong date of birth and surname, please correct it.",
        "I cannot log in since {day}, it says user unknown.",
    ),
    "technical": (
        "the app crashes on {device} as soon as I open the basket.",
        "your web site shows error 500 when I search for a {thing}.",
        "pictures of the {thing} do not load on {device}.",
        "the page freezes on {device} after I press the button.",
        "since the update on {day} the app only shows a white screen.",
        "the filter menu of the site does nothing when I tap it on {device}.",
        "I keep getting a time-out error in the app.",
        "the barcode scanner in the app cannot start the camera on {device}.",
        "the site is extremely slow in my browser and half of the buttons are dead.",
    ),
    "product": (
        "is the {thing} dishwasher safe?",
        "what are the exact measurements of the {thing}?",
        "when will the {thing} be back in stock?",
        "does the {thing} fit into a small {room}?",
        "which material is the {thing} made of?",
        "is the {thing} compatible with the older model?",
        "how many watts does the {thing} use?",
        "do you also sell the {thing} in green?",
        "what is the difference between the two versions of the {thing}?",
    ),
    "damage": (
        "the {thing} arrived broken, the box was crushed.",
        "there was a big crack in the {thing} when I unpacked it.",
        "you sent me the wrong item, I ordered a {thing}.",
        "parts are missing from the {thing} that came on {day}.",
        "the {thing} from order {order} has deep scratches all over.",
        "half of order {order} was not in the box.",
        "the {thing} came shattered into {n} pieces.",
        "instead of the {thing} I unpacked something completely different.",
        "the {thing} was dented and the lid does not close, it must have been dropped.",
    ),
    "subscription": (
        "please pause my monthly box for {n} weeks.",
        "I want to cancel my subscription before the next box.",
        "when is my next monthly box due?",
        "can I switch from the large plan to the small plan?",
        "my membership renewed on {day} although I had stopped the plan.",
        "how do I skip a month of the subscription?",
        "is there a yearly plan instead of the monthly one?",
        "please change the plan so that the box comes every {n} weeks.",
    ),
}

DETAILS = (
    "I am {tone} annoyed by now.", "I bought it on {day}.", "It was meant as a present for {name}.",
    "I have been a customer for {n} years.", "I already wrote to you {n} days ago.",
    "My partner {name} placed the order.", "We need it for the {room}.", "This is the second time this year.",
    "I tried calling, nobody picked up.", "I can send a photo if that helps.", "No rush at all.",
    "It is {tone} urgent for us.", "Everything else was fine.", "I looked in your help pages but found nothing.",
    "The reference is {order}.", "It happened on {day} in the evening.",
)  # fmt: skip

ASKS = (
    "Can you help?", "What should I do?", "Please advise.", "Could you look into this?", "Please get back to me soon.",
    "What happens now?", "Please sort this out.", "I would be glad of a quick answer.", "Can somebody check?", "",
    "Let me know, please.", "Kindly assist.",
)  # fmt: skip

CLOSINGS = (
    "Thanks, {name}", "Best regards, {name}", "Kind regards", "Cheers, {name}", "Thank you!", "Many thanks, {name}", "",
    "Yours, {name}", "Sent from {device}", "All the best, {name}",
)  # fmt: skip
