"""Answers of a customer service, each with two that say the same and two that do not, marked by hand."""

PAIRS: tuple[tuple[str, tuple[str, str], tuple[str, str]], ...] = (
    (
        "Your refund arrives within five days.",
        ("You get the money back in five days at most.", "Expect the refund within 5 days."),
        ("Your refund arrives within nine days.", "Your refund was declined."),
    ),
    (
        "The parcel was delivered to your neighbour.",
        ("A neighbour of yours took the parcel.", "We handed the package to your neighbour."),
        ("The parcel was delivered to your door.", "The parcel is not delivered yet."),
    ),
    (
        "You can cancel free of charge until Friday.",
        ("Cancelling costs nothing up to Friday.", "Until Friday, cancellation is free."),
        ("You can cancel free of charge until Monday.", "You cannot cancel free of charge."),
    ),
    (
        "Please restart the router and try again.",
        ("Turn the router off and on, then retry.", "Try again after restarting the router."),
        ("Please replace the router.", "Please do not restart the router."),
    ),
    (
        "The shop in Delft opens at nine.",
        ("Our Delft shop is open from 9 o'clock.", "At nine the Delft store opens."),
        ("The shop in Delft closes at nine.", "The shop in Gouda opens at nine."),
    ),
    (
        "We need a copy of your passport.",
        ("Please send us your passport's copy.", "A copy of the passport is required."),
        ("We need a copy of your invoice.", "We do not need a copy of your passport."),
    ),
    (
        "Your plan includes ten gigabytes a month.",
        ("You have 10 GB of data each month.", "Ten gigabytes monthly are part of your plan."),
        ("Your plan includes two gigabytes a month.", "Your plan includes ten gigabytes a day."),
    ),
    (
        "The lamp is covered by the warranty.",
        ("Warranty applies to this lamp.", "The guarantee covers the lamp."),
        ("The lamp is not covered by the warranty.", "The lamp's warranty has expired."),
    ),
    (
        "Your card was blocked for safety.",
        ("For security, we blocked your card.", "We locked the card to protect you."),
        ("Your card was unblocked.", "Your card was charged twice."),
    ),
    (
        "Shipping is free above fifty euros.",
        ("From 50 euros on you pay no shipping.", "Orders over fifty euros ship for free."),
        ("Shipping is free above eighty euros.", "Shipping costs fifty euros."),
    ),
    (
        "A colleague calls you tomorrow.",
        ("You will get a call from us tomorrow.", "Tomorrow somebody of our team phones you."),
        ("A colleague called you yesterday.", "Please call us tomorrow."),
    ),
    (
        "The battery lasts about eight hours.",
        ("One charge is good for roughly 8 hours.", "Expect eight hours of battery life."),
        ("The battery charges in eight hours.", "The battery lasts about two hours."),
    ),
    (
        "Your invoice is attached to this mail.",
        ("Attached you find the invoice.", "This mail has your invoice as attachment."),
        ("Your invoice is sent by post.", "Your contract is attached to this mail."),
    ),
    (
        "We have no red chairs in stock.",
        ("Red chairs are sold out.", "The red chairs are not available now."),
        ("We have red chairs in stock.", "We have no red tables in stock."),
    ),
    (
        "Your password must have twelve characters.",
        ("A password needs 12 characters.", "Choose a password of twelve characters."),
        ("Your password must have six characters.", "Your password has expired."),
    ),
    (
        "The train is delayed by ten minutes.",
        ("There is a ten minute delay of the train.", "The train runs 10 minutes late."),
        ("The train is cancelled.", "The train leaves in ten minutes."),
    ),
    (
        "You can pay by card or in cash.",
        ("Card and cash are both accepted.", "We take cash as well as cards."),
        ("You can pay by card only.", "You can pay in cash only."),
    ),
    (
        "Your subscription renews in March.",
        ("In March the subscription is renewed.", "Renewal of your subscription is in March."),
        ("Your subscription ends in March.", "Your subscription renews in May."),
    ),
    (
        "The room has a view of the sea.",
        ("From the room you see the sea.", "It is a room with sea view."),
        ("The room has a view of the car park.", "The room is close to the sea without a view."),
    ),
    (
        "Breakfast is included in the price.",
        ("The price covers breakfast.", "You do not pay extra for breakfast."),
        ("Breakfast costs extra.", "Dinner is included in the price."),
    ),
    (
        "Your data was deleted as you asked.",
        ("As requested we removed your data.", "We erased your data at your wish."),
        ("Your data was exported as you asked.", "Your data cannot be deleted."),
    ),
    (
        "The repair takes three weeks.",
        ("Repairing it needs 3 weeks.", "Expect three weeks for the repair."),
        ("The repair takes three days.", "The repair costs three hundred euros."),
    ),
    (
        "You were charged twice by mistake.",
        ("By error we billed you two times.", "It was our mistake to charge you twice."),
        ("You were charged once.", "You were charged twice, which is correct."),
    ),
    (
        "Children under six travel for free.",
        ("Kids below 6 need no ticket.", "No fare is due for children under six."),
        ("Children under twelve travel for free.", "Children under six pay half."),
    ),
    (
        "The seminar is held online.",
        ("It is an online seminar.", "You attend the seminar over the internet."),
        ("The seminar is held in Utrecht.", "The seminar is cancelled."),
    ),
    (
        "Your order left our warehouse today.",
        ("Today we shipped your order.", "The order went out of the warehouse today."),
        ("Your order leaves our warehouse next week.", "Your order arrived at our warehouse today."),
    ),
    (
        "Keep the medicine in the fridge.",
        ("Store the medicine refrigerated.", "The medicine belongs in the refrigerator."),
        ("Keep the medicine out of the fridge.", "Keep the medicine away from children."),
    ),
    (
        "The contract can be ended each month.",
        ("You may terminate monthly.", "Every month you can end the contract."),
        ("The contract can be ended each year.", "The contract cannot be ended early."),
    ),
    (
        "Your seat is by the window.",
        ("You have a window seat.", "We placed you at the window."),
        ("Your seat is by the aisle.", "You have no seat yet."),
    ),
    (
        "Tap water is safe to drink here.",
        ("You can drink the water from the tap.", "Here the tap water is drinkable."),
        ("Tap water is not safe to drink here.", "Bottled water is sold here."),
    ),
)
