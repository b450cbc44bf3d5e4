"""What holds for every call, whatever its task."""

from dataclasses import dataclass
from decimal import Decimal


@dataclass(frozen=True, slots=True)
class ServingLimits:
    """The router's own settings, as far as the desk needs them."""

    critical_tasks: frozenset[str] = frozenset()
    student_timeout_s: float = 2.0
    student_price_usd: Decimal = Decimal("0.0002")
    self_agreement_rate: float = 0.0
    max_concurrent_audits: int = 8
    probation_calls: int = 0
