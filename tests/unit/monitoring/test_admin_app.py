"""What a single service answers before it runs, and after."""

import json

from tests.support.asgi import AsgiAnswer, ask_app
from tests.support.sample_events import START
from tests.support.stores import open_migrated_store

from understudies.monitoring.admin_app import AdminApp, PartEndpoint
from understudies.runtime.store import Store
from understudies.status.access import StatusAccess
from understudies.status.part_readers import read_observer_part
from understudies.status.parts import StatusPart


def app(store: Store, todo: list[str]) -> AdminApp:
    async def read(task: str | None) -> StatusPart:
        return await read_observer_part(store, task, START)

    status = PartEndpoint(read, StatusAccess("127.0.0.1", "token"), lambda: "".join(todo))
    return AdminApp("observer", lambda: not todo, (), status)


def error_of(answer: AsgiAnswer) -> dict[str, str]:
    found: dict[str, str] = json.loads(answer.text)["error"]
    return found


async def test_before_a_service_runs_it_says_what_it_has_to_do() -> None:
    todo = ["observer is starting: it brings the store's tables up to date"]
    async with open_migrated_store() as store:
        served = app(store, todo)
        answer = await ask_app(served, "/status")
        assert (answer.status, answer.headers["retry-after"]) == (503, "1")
        assert (error_of(answer)["code"], error_of(answer)["message"]) == ("starting", todo[0])
        assert (await ask_app(served, "/readyz")).status == 503
        assert (await ask_app(served, "/livez")).status == 200
        todo.clear()
        assert json.loads((await ask_app(served, "/status")).text)["service"] == "observer"
        assert (await ask_app(served, "/readyz")).status == 200


async def test_a_store_that_fails_is_named() -> None:
    store = await Store.open("chdb://")
    try:
        answer = await ask_app(app(store, []), "/status")
    finally:
        await store.close()
    assert answer.status == 503
    assert error_of(answer)["code"] == "not_available"
    assert "the store failed" in error_of(answer)["message"]
