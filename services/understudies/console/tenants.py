"""Restrict what the console shows to a tenant: its own tasks, and its own calls of tasks that others call too."""

from understudies.console.reads.activity import TenantTask, fetch_tenant_tasks
from understudies.console.source import ConsoleSource
from understudies.events import owner_and_base
from understudies.router.endpoints.errors import HttpError
from understudies.status.queries import start_of_day
from understudies.status.standing import CallCounts, Overview, TaskStanding


class TenantReader:
    """Reader of what a tenant may see."""

    def __init__(self, source: ConsoleSource) -> None:
        self._source = source

    def owns(self, tenant: str, task: str) -> bool:
        """Return whether a task is the tenant's own: no other tenant's calls are in it."""
        return owner_and_base(task)[0] == tenant and self._source.rules().unqualified_name(task) is not None

    async def restrict(self, overview: Overview, tenant: str) -> Overview:
        """Return the tasks that the tenant owns, and its own figures of others that it called."""
        called = {found.task: found for found in await self._fetch(tenant)}
        tasks = [
            standing if self.owns(tenant, standing.task) else _restrict(standing, called[standing.task])
            for standing in overview.tasks
            if standing.task in called or self.owns(tenant, standing.task)
        ]
        return Overview(at=overview.at, source=f"calls of {tenant}", tasks=tuple(tasks))

    async def standing(self, task: str, tenant: str) -> TaskStanding:
        """Return the tenant's own figures of a task; raises HttpError (404) if it never called it."""
        story = await self._source.standings.story(task, self._source.clock.now())
        found = next((one for one in await self._fetch(tenant) if one.task == task), None) if story else None
        if found is None or story is None:
            raise HttpError(404, f"no call of a task {task!r} by {tenant!r} was recorded", code="not_found")
        return _restrict(story.standing, found)

    async def _fetch(self, tenant: str) -> list[TenantTask]:
        return await fetch_tenant_tasks(self._source.store, tenant, start_of_day(self._source.clock.now()))


def _restrict(standing: TaskStanding, own: TenantTask) -> TaskStanding:
    """Leave out everything that other tenants' calls are part of."""
    return TaskStanding(
        task=standing.task,
        phase=standing.phase,
        waits_for="what its owner decides: other tenants call it too",
        student=standing.student if standing.share is not None else None,
        stage=standing.stage if standing.share is not None else None,
        promised=standing.promised,
        share=standing.share,
        today=CallCounts(calls=own.today, served=own.served_today),
        to_date=CallCounts(calls=own.calls, served=own.served),
    )
