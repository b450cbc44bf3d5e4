"""Pairs an audit's answer with the answer that it audits."""

import logging
from collections import OrderedDict
from collections.abc import Mapping
from typing import Final

from understudies.events import INVOCATIONS, Invocation, Message, Request, Route, encode
from understudies.runtime.throttle import Throttle

_BLANK: Final = Request(messages=(Message(role="user"),))

_log = logging.getLogger(__name__)


class PendingAudits:
    """Calls that were drawn to be asked again, until the second answer comes; the oldest are forgotten first.

    They are kept as they are written in a snapshot, without their requests: an audit repeats its call's.
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._calls: OrderedDict[str, str] = OrderedDict()
        self._log_throttle = Throttle()
        self.unpaired = 0
        """Audits whose call was not known: they show nothing."""

    def __len__(self) -> int:
        return len(self._calls)

    def add(self, call: Invocation) -> None:
        """Keep an answered call that was drawn, or may have been where nothing says so."""
        if call.route is not None and _is_drawn(call.route):
            self._calls[call.id] = encode(call.model_copy(update={"request": _BLANK})).decode()
            self._evict()

    def pop_audited(self, audit: Invocation) -> Invocation | None:
        """The call that this audit asks again; None where it is not known or was paired before."""
        kept = self._calls.pop(audit.audits or "", None)
        if kept is None:
            self._count_unpaired()
            return None
        call = INVOCATIONS.decode(kept.encode())
        assert isinstance(call, Invocation)
        return call.model_copy(update={"request": audit.request})

    def state(self) -> dict[str, str]:
        """A JSON-serialisable snapshot, the oldest call first."""
        return dict(self._calls)

    def restore(self, state: Mapping[str, str]) -> None:
        """Continue from a snapshot."""
        self._calls = OrderedDict(state)
        self._evict()

    def _evict(self) -> None:
        while len(self._calls) > self._capacity:
            self._calls.popitem(last=False)

    def _count_unpaired(self) -> None:
        self.unpaired += 1
        if self._log_throttle():
            _log.warning("%d audits so far show nothing: the calls that they ask again are not known", self.unpaired)


def _is_drawn(route: Route) -> bool:
    drawn = route.audit_probability > 0 if route.drawn is None else route.drawn
    return drawn or route.spot_check
