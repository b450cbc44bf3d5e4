"""Pairs an audit's answer with the answer that it audits."""

from collections import OrderedDict

from understudies.events import Invocation


class Awaited:
    """Calls that were drawn to be asked again, until the second answer comes; the oldest are forgotten first."""

    def __init__(self, keep: int) -> None:
        self._keep = keep
        self._calls: OrderedDict[str, Invocation] = OrderedDict()

    def remember(self, call: Invocation) -> None:
        """Keep an answered call that may have been drawn."""
        if call.route is not None and call.route.audit_probability > 0:
            self._calls[call.id] = call
            if len(self._calls) > self._keep:
                self._calls.popitem(last=False)

    def pair(self, audit: Invocation) -> Invocation | None:
        """The call that this audit asks again; None where it is not known or was paired before."""
        return self._calls.pop(audit.audits or "", None)
