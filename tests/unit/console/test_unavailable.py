"""The console where its store cannot answer."""

from tests.support.asgi import ask_app
from tests.support.console_data import NOW, RULES
from tests.support.html_page import HtmlPage

from understudies.console.endpoint import create_pages
from understudies.console.server import ConsoleApp
from understudies.console.source import ConsoleSource
from understudies.runtime.clock import VirtualClock
from understudies.runtime.store import Store
from understudies.status.access import StatusAccess
from understudies.status.stored_standings import StoredStandings


async def test_a_store_without_tables_is_told_with_what_to_do() -> None:
    store = await Store.open("chdb://")
    try:
        empty = ConsoleSource(StoredStandings(store, RULES, "a store"), store, VirtualClock(NOW), lambda: RULES)
        pages = ConsoleApp(create_pages(empty, StatusAccess("127.0.0.1", "token")))
        answer = await ask_app(pages, "/")
        as_json = await ask_app(pages, "/", headers={"accept": "application/json"})
    finally:
        await store.close()
    assert (answer.status, as_json.status) == (503, 503)
    assert "reload the page in a moment" in HtmlPage(answer.text).words
    assert '"not_available"' in as_json.text
