"""`marketing-copy`: long texts, no two alike, that no student should write."""

import random
from collections.abc import Iterator

from understudies.backtest.generator.synthetic_call import SyntheticCall, fill_template, random_slot_filler

SYSTEM = """You write copy for the newsletter of an online shop for household goods. Be warm, concrete and a little \
surprising; never use the words 'elevate' or 'game-changer'; at most 130 words; end with a line that invites."""

_WORDS: dict[str, tuple[str, ...]] = {
    "thing": (
        "stoneware teapot",
        "linen apron",
        "oak step stool",
        "brass desk lamp",
        "wool throw",
        "copper pan",
        "fern",
    ),
    "season": ("the first frost", "late spring", "a rainy week", "harvest time", "the long weekend", "midsummer"),
    "who": ("people in small flats", "new parents", "keen bakers", "night owls", "gardeners", "students", "hosts"),
    "mood": ("quiet", "bright", "slow", "generous", "curious", "unhurried", "playful", "stubborn", "honest"),
    "place": ("a windowsill", "the top shelf", "a crowded kitchen", "the hallway", "a borrowed attic", "the balcony"),
    "act": ("waits", "settles in", "hums along", "catches the light", "takes its time", "keeps its word", "wanders"),
    "sense": ("smells of rain", "feels like bread crust", "sounds like a held breath", "shines like wet slate"),
    "time": ("before breakfast", "after the guests leave", "on a Tuesday", "between two phone calls", "at dusk"),
    "price": ("under thirty", "less than a dinner out", "the price of two cinema seats", "a fair forty-five"),
}
_BRIEFS = (
    "Write about our {mood} {thing} for {who}, to go out around {season}. Price: {price}.",
    "We need a teaser for the {thing}. Audience: {who}. Mood: {mood}, with a nod to {season}.",
    "A short story of {n} sentences or so in which a {thing} on {place} changes somebody's {season}.",
    "Product of the month is the {thing}, {price}. Make {who} smile; mention {time}.",
)
_SENTENCES = (
    "There is a {mood} hour {time} when the {thing} {act}.",
    "It {sense}, and nobody can say why.",
    "We put one on {place} and left it there through {season}.",
    "Ask {who}: they have stopped explaining and simply point.",
    "No instructions, no batteries, only a {mood} kind of patience.",
    "Some things are bought for {season}; this one {act} long after.",
    "It costs {price} and has made {n} friends in our own office alone.",
    "You could live without it, as one can live without {place}.",
    "Someone called it {mood}; someone else just {act} beside it.",
    "Between {place} and the table it {sense}.",
    "What {who} told us {time} does not fit into a newsletter.",
    "Make room {time}; the rest will follow.",
)
_INVITATIONS = (
    "Come and lift one.", "Yours by {season}, if you like.", "Look for it {time}.", "The kettle is on: drop by.",
    "There are {n} left; one has your name on it.", "Reply, and we will keep one for you.",
)  # fmt: skip


def generate_copywriting(rng: random.Random, count: int) -> Iterator[SyntheticCall]:
    """Generate briefs with texts that follow no rule."""
    slot = random_slot_filler(rng, _WORDS)
    for _ in range(count):
        sentences = [*rng.sample(_SENTENCES, rng.randint(6, 9)), rng.choice(_INVITATIONS)]
        brief = f"Brief {rng.randint(100, 9999)}. {fill_template(rng.choice(_BRIEFS), slot)}"
        yield SyntheticCall(SYSTEM, brief, " ".join(fill_template(sentence, slot) for sentence in sentences))
