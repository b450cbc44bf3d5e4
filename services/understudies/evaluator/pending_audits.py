"""Match the answer of an audit with the answer that it audits."""

import logging
from collections import OrderedDict
from collections.abc import Callable
from typing import Annotated, Final

from understudies.events import INVOCATIONS, Invocation, Message, Request, Route, encode
from understudies.persistence.saved_state import ROOT, SavedState
from understudies.runtime.throttle import Throttle

_EMPTY_REQUEST: Final = Request(messages=(Message(role="user"),))

_log = logging.getLogger(__name__)


class PendingAudits(SavedState):
    """Calls sampled for an audit, until the audit arrives; the oldest are evicted first.

    They are stored as serialised in a snapshot, without their requests: an audit repeats its call's request.
    """

    _calls: Annotated[OrderedDict[str, str], ROOT]

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._calls = OrderedDict()
        self._log_throttle = Throttle()
        self.unpaired = 0
        """The number of audits without a known call: they yield no verdict."""

    def __len__(self) -> int:
        return len(self._calls)

    def add(self, call: Invocation) -> None:
        """Store an answered call that was sampled, or may have been where its route does not say."""
        if call.route is not None and _is_drawn(call.route):
            self._calls[call.id] = encode(call.model_copy(update={"request": _EMPTY_REQUEST})).decode()
            self._evict()

    def pop_audited(self, audit: Invocation) -> Invocation | None:
        """Remove and return the call that this audit repeats; None if it is unknown or already paired."""
        encoded = self._calls.pop(audit.audits or "", None)
        if encoded is None:
            self._count_unpaired()
            return None
        call = INVOCATIONS.decode(encoded.encode())
        assert isinstance(call, Invocation)
        return call.model_copy(update={"request": audit.request})

    def keep_tasks(self, owns: Callable[[str], bool]) -> None:
        """Drop the calls of all tasks of which `owns` is not true."""
        kept = ((id_, call) for id_, call in self._calls.items() if owns(INVOCATIONS.decode(call.encode()).task))
        self._calls = OrderedDict(kept)

    def _on_restored(self) -> None:
        self._evict()

    def _evict(self) -> None:
        while len(self._calls) > self._capacity:
            self._calls.popitem(last=False)

    def _count_unpaired(self) -> None:
        self.unpaired += 1
        if self._log_throttle():
            _log.warning("%d audits so far yield no verdict: the calls that they repeat are unknown", self.unpaired)


def _is_drawn(route: Route) -> bool:
    drawn = route.audit_probability > 0 if route.drawn is None else route.drawn
    return drawn or route.spot_check
