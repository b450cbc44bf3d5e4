"""`refund-approval`: rare decisions about large amounts, declared critical."""

import json
import random
from collections.abc import Iterator

from understudies.backtest.generator.synthetic_call import SyntheticCall

SYSTEM = """You decide on refunds above the limit of the support staff. Weigh the customer's history, the evidence and \
the policy: goods are refunded within 30 days, or at any time where they were faulty on arrival. Reply with a JSON \
object with the keys "decision" (approve, deny or escalate), "amount" and "reason" (one sentence)."""

_GOODS = ("espresso machine", "dining table", "corner sofa", "range cooker", "wardrobe", "washing machine", "bed frame")
_CLAIMS = (
    "was faulty on arrival",
    "never arrived",
    "is not as described",
    "is no longer wanted",
    "was delivered twice",
)
_EVIDENCE = ("photos attached", "no evidence attached", "courier report attached", "a statement of the fitter")


def generate_refunds(rng: random.Random, count: int) -> Iterator[SyntheticCall]:
    """Generate cases with the decision that policy and a little judgement give."""
    for _ in range(count):
        amount, days, earlier = rng.randint(400, 6000), rng.randint(1, 90), rng.randint(0, 6)
        goods, claim, evidence = rng.choice(_GOODS), rng.choice(_CLAIMS), rng.choice(_EVIDENCE)
        user = (
            f"Case {rng.randint(10_000, 99_999)}: {goods}, {amount} EUR, bought {days} days ago. The customer says it "
            f"{claim}; {evidence}. Refunds to this customer so far: {earlier}."
        )
        yield SyntheticCall(SYSTEM, user, _decision(amount, days, earlier, claim, evidence))


def _decision(amount: int, days: int, earlier: int, claim: str, evidence: str) -> str:
    proven = not evidence.startswith("no ")
    if earlier >= 4 or (amount > 4000 and not proven):
        decision, reason = "escalate", f"{earlier} earlier refunds and {evidence} call for a second pair of eyes."
    elif (days <= 30 or claim.startswith("was faulty")) and (proven or claim.startswith("is no")):
        decision, reason = "approve", f"It {claim}, {days} days after the purchase, with {evidence}."
    else:
        decision, reason = "deny", f"After {days} days and with {evidence} the policy gives no right to a refund."
    return json.dumps({"decision": decision, "amount": amount if decision == "approve" else 0, "reason": reason})
