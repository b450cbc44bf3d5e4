"""Name tasks that have no name, for tenants with tasks of their own by their own prompts alone."""

from collections import OrderedDict
from typing import Final

from understudies.events.request import Request
from understudies.events.task_discovery.templates import Templates

_MAX_SCOPES: Final = 256


class TenantTemplates:
    """Templates by scope: what is sent in one neither decides nor shows how tasks of another are named.

    Callers that share their tasks share a scope, `""`. The same prompt has the same name in all scopes; what differs is
    which prompts are taken for one template. The `_MAX_SCOPES` scopes used last are kept.
    """

    def __init__(self) -> None:
        self._by_scope: OrderedDict[str, Templates] = OrderedDict()

    def task_of(self, scope: str, request: Request) -> str:
        """Return the task of a request; in a scope, the same prompt gets the same task while it is remembered."""
        templates = self._by_scope.get(scope)
        if templates is None:
            templates = self._by_scope[scope] = Templates()
            if len(self._by_scope) > _MAX_SCOPES:
                self._by_scope.popitem(last=False)
        self._by_scope.move_to_end(scope)
        return templates.task_of(request)
