"""Tasks of one tenant alone: their names carry the tenant's, as in `acme:ticket-triage`."""

import re
from typing import Final

OWNER_PATTERN: Final = re.compile(r"[A-Za-z0-9_.-]{1,64}")
"""What a tenant with tasks of its own may be called."""

_OWNED_TASK_PATTERN: Final = re.compile(rf"({OWNER_PATTERN.pattern}):(\S.*)", re.DOTALL)


def own_task(tenant: str, task: str) -> str:
    """The name of a tenant's own task; one that is the tenant's already stays as it is.

    No name of another tenant is the same, as no tenant's name has a colon in it.

    >>> own_task("acme", "ticket-triage"), own_task("acme", "acme:ticket-triage")
    ('acme:ticket-triage', 'acme:ticket-triage')
    """
    return task if owner_and_base(task)[0] == tenant else f"{tenant}:{task}"


def owner_and_base(name: str) -> tuple[str | None, str]:
    """Whose task a name would say it is, and how its owner calls it; without an owner, (None, name).

    Whether there is such a tenant, and whether it has tasks of its own, the rules say.

    >>> owner_and_base("acme:ticket-triage"), owner_and_base("ticket-triage")
    (('acme', 'ticket-triage'), (None, 'ticket-triage'))
    """
    found = _OWNED_TASK_PATTERN.fullmatch(name)
    return (found[1], found[2]) if found else (None, name)
