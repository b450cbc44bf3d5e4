"""Names of a tenant's own tasks, which include the tenant's name, as in `acme:ticket-triage`."""

import re
from typing import Final

OWNER_PATTERN: Final = re.compile(r"[A-Za-z0-9_.-]{1,64}")
"""The names allowed for a tenant with tasks of its own."""

_OWNED_TASK_PATTERN: Final = re.compile(rf"({OWNER_PATTERN.pattern}):(\S.*)", re.DOTALL)


def own_task(tenant: str, task: str) -> str:
    """Qualify a task's name with its tenant; a name that is already the tenant's stays as it is.

    Names of different tenants never collide, because a tenant's name has no colon.

    >>> own_task("acme", "ticket-triage"), own_task("acme", "acme:ticket-triage")
    ('acme:ticket-triage', 'acme:ticket-triage')
    """
    return task if owner_and_base(task)[0] == tenant else f"{tenant}:{task}"


def owner_and_base(name: str) -> tuple[str | None, str]:
    """Split a task's name into its possible owner and base name; without an owner, (None, name).

    The rules decide whether there is such a tenant, and whether it has tasks of its own.

    >>> owner_and_base("acme:ticket-triage"), owner_and_base("ticket-triage")
    (('acme', 'ticket-triage'), (None, 'ticket-triage'))
    """
    match = _OWNED_TASK_PATTERN.fullmatch(name)
    return (match[1], match[2]) if match else (None, name)
