#!/usr/bin/env bash
# Finding: genai-prices charges a batch of long ago at the usual price, without a word, as it dates tiers by their entry.
#
# Version: genai-prices 0.2.3, Python 3.11.
# Behaviour: prices of batches (`price_context={"processing": "batch"}`) and of tiers (`service_tier`) are variants with a
# start date in October 2026, when the list learned of them, though the half price of batches is years old. For a call
# before that day `calc_price` returns the usual price, as it does for a condition that it does not know at all: nothing in
# the answer tells whether the context was applied. Whoever prices old logs of batches counts twice what they cost, and has
# to look at the model's `price_variants` and their constraints to see it.
# Output seen: "batch in September 0.750, usual 0.750, unknown condition 0.750, batch in November 0.375".
# The script fails if that changes.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet genai-prices==0.2.3

cat > "$work/price.py" <<'PYTHON'
from datetime import UTC, datetime

from genai_prices import Usage, calc_price

USAGE = Usage(input_tokens=1_000_000, output_tokens=1_000_000)


def price(month: int, **context: str) -> str:
    at = datetime(2026, month, 20, tzinfo=UTC)
    found = calc_price(
        USAGE, "gpt-4o-mini", provider_id="openai", genai_request_timestamp=at, price_context=context or None
    )
    return f"{found.total_price:.3f}"


print(
    f"batch in September {price(9, processing='batch')}, usual {price(9)}, "
    f"unknown condition {price(11, processing='by moonlight')}, batch in November {price(11, processing='batch')}"
)
PYTHON
seen=$("$work/venv/bin/python" "$work/price.py")
echo "$seen"
[ "$seen" = "batch in September 0.750, usual 0.750, unknown condition 0.750, batch in November 0.375" ]
