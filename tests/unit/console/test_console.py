"""The console's pages, from a store, as a browser gets them."""

import re
from dataclasses import replace
from urllib.parse import quote, urlencode

import pytest
from tests.support.asgi import AsgiAnswer, ask_app
from tests.support.console_data import ACME_KEY, CRITICAL, NOW, OWN, TASK, ConsoleData
from tests.support.html_page import HtmlPage

from understudies.console.endpoint import create_pages
from understudies.console.reads.task_details import read_tenant_task
from understudies.console.server import ConsoleApp
from understudies.console.tenants import TenantReader
from understudies.runtime.clock import VirtualClock
from understudies.status.access import StatusAccess
from understudies.status.settings import StatusSettings

TASK_PAGE = f"/task?name={TASK}"
STUDENT_PAGE = f"/student?{urlencode({'task': TASK, 'name': f'{TASK}@1'})}"
DISAGREEMENTS = f"/disagreements?task={TASK}"
PAGES = ["/", TASK_PAGE, f"/task?name={quote(OWN)}", STUDENT_PAGE, DISAGREEMENTS, "/settings", "/services"]
AS_ACME = {"authorization": f"Bearer {ACME_KEY}"}


def app(data: ConsoleData, access: StatusAccess | None = None) -> ConsoleApp:
    access = access or StatusSettings().create_access("127.0.0.1", "token", data.source.rules)
    return ConsoleApp(create_pages(data.source, access))


async def get(data: ConsoleData, url: str, **options: object) -> AsgiAnswer:
    return await ask_app(app(data), url, **options)  # type: ignore[arg-type]  # as ask_app takes them


async def page(data: ConsoleData, url: str, **options: object) -> HtmlPage:
    answer = await get(data, url, **options)
    assert answer.status == 200, answer.text
    return HtmlPage(answer.text)


async def test_every_page_is_whole_has_no_script_and_asks_no_other_host(data: ConsoleData) -> None:
    for url in PAGES:
        answer = await get(data, url)
        assert answer.status == 200, (url, answer.text)
        read = HtmlPage(answer.text)
        assert [tag for tag, _ in read.tags].count("h1") == 1
        assert not {"script", "style"} & {tag for tag, _ in read.tags}
        assert [name for _, given in read.tags for name in given if name.startswith("on") or name == "style"] == []
        assert not re.findall(r"(?:src|href|action)=.?(?:https?:)?//|url\(|@import", answer.text)
        ids = read.values("id")
        assert len(ids) == len(set(ids)), url
        named = [name for value in read.values("aria-labelledby") for name in value.split()]
        assert set(named) <= set(ids), url
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert "unsafe" not in answer.headers["content-security-policy"]
        assert "nan" not in read.words.lower().split()
        assert not re.search(r"\bNone\b(?! is marked)", read.words)


async def test_what_callers_wrote_is_text(data: ConsoleData) -> None:
    for url in PAGES:
        html = (await get(data, url)).text
        assert not re.search(r"<(?:sort|130|gone|a)>|<b>(?:billing|shipping|returns)", html), url


async def test_the_overview_projects_what_is_saved(data: ConsoleData) -> None:
    words = (await page(data, "/")).words
    assert "3 tasks: " in words
    assert re.search(r"Saved in a month −?\$[\d.,]+ −?\$[\d.,]+ a year, at the pace of the last 7.0 days", words)
    assert re.search(r"Spent to date \$[\d.]+ \$[\d.]+ without students", words)


async def test_a_task_shows_how_far_a_student_fell_and_what_is_taken_for_what(data: ConsoleData) -> None:
    read = await page(data, TASK_PAGE)
    assert "ticket-triage@1 fell to 71.0% by the alarm of Jan 13." in read.words
    assert 'class="line fall"' in (await get(data, TASK_PAGE)).text
    for part in ("Agreement with the teacher", "Cost ledger", "Which answer is taken for which", "Its story"):
        assert part in read.words
    assert "drift suspected" not in read.words
    assert "gate: promote" not in read.words
    assert "proven" in read.words
    assert STUDENT_PAGE in read.values("href")


async def test_the_ledger_of_the_page_is_the_budgets_to_the_cent(data: ConsoleData) -> None:
    ledger = data.reader.budget.tasks[TASK].ledger
    words = (await page(data, TASK_PAGE)).words
    assert f"Spent {ledger.calls} ${ledger.total_cost:.2f}" in words


async def test_a_student_shows_its_origin_its_files_and_its_verdicts(data: ConsoleData) -> None:
    words = (await page(data, STUDENT_PAGE)).words
    for part in (
        "classifier, demoted since",
        "weights.bin",
        "d" * 64,
        "gpt-4o",
        "train 120",
        "shadow answers",
        "audits",
    ):
        assert part in words
    other = (await page(data, STUDENT_PAGE.replace("%401", "%402"))).words
    assert "Verdicts by phase" not in other
    assert "shadow answers" in other


async def test_settings_say_what_was_changed_and_no_secret(data: ConsoleData) -> None:
    words = (await page(data, "/settings")).words
    assert "min_examples 321 changed" in words
    assert "keys set, not shown" in words
    assert "sha256:" not in words
    assert f"Task {CRITICAL}" in words


async def test_services_tell_their_lag_and_what_is_wrong(data: ConsoleData) -> None:
    words = (await page(data, "/services")).words
    assert "Something is wrong with router" in words
    assert "triage@1 cannot be loaded: <gone>" in words
    assert re.search(r"verdicts \d+ rows", words)


async def test_disagreements_come_newest_first_with_both_answers_and_pages(data: ConsoleData) -> None:
    verdicts = sorted(
        (v for v in data.of_verdicts() if not v.agreed), key=lambda verdict: (verdict.at, verdict.id), reverse=True
    )
    read = await page(data, DISAGREEMENTS)
    shown = read.values("value")
    assert [name for name in shown if name.startswith("v-")] == [verdict.id for verdict in verdicts[:10]]
    assert f"teacher {verdicts[0].answer_class!r}, student {verdicts[0].student_answer!r}" in read.words
    assert "Where is my order" in read.words
    assert "Not stored" not in read.words
    older = next(href for href in read.values("href") if "before=" in href)
    after = await page(data, older)
    assert [name for name in after.values("value") if name.startswith("v-")] == [v.id for v in verdicts[10:20]]


@pytest.mark.parametrize("place", ["answer", "request", "nothing"])
async def test_disagreements_are_searched_in_answers_and_requests(data: ConsoleData, place: str) -> None:
    wrong = [v for v in data.of_verdicts() if not v.agreed]
    calls = {call.id: call for call in data.of_calls()}
    number = re.search(r"order (\d+)", calls[wrong[0].invocation].request.messages[1].text)
    assert number is not None
    text = {"answer": "ACCOUNT & MORE", "request": f"order {number[1]}?", "nothing": "no such words"}[place]
    found = await page(data, f"{DISAGREEMENTS}&{urlencode({'text': text})}")
    ids = {name for name in found.values("value") if name.startswith("v-")}
    expected = {
        "answer": {v.id for v in wrong if "account" in f"{v.answer_class}{v.student_answer}"},
        "request": {v.id for v in wrong if f"order {number[1]}?" in calls[v.invocation].request.messages[1].text},
        "nothing": set[str](),
    }[place]
    assert ids <= expected
    assert len(ids) == min(10, len(expected))


async def mark(data: ConsoleData, **fields: str) -> AsgiAnswer:
    body = urlencode({"task": TASK, "by": "ada <a>", **fields}).encode()
    return await ask_app(app(data), "/marks", method="POST", body=body)


async def test_a_person_marks_a_disagreement_and_takes_it_back(data: ConsoleData) -> None:
    wrong = [v for v in data.of_verdicts() if not v.agreed]
    newest = max(wrong, key=lambda verdict: (verdict.at, verdict.id))
    kept = await mark(data, verdict=newest.id, mark="right", note="the teacher <erred>", back=f"{DISAGREEMENTS}&mark=x")
    assert (kept.status, kept.headers["location"]) == (303, f"{DISAGREEMENTS}&mark=x")
    words = (await page(data, DISAGREEMENTS)).words
    assert "2026-01-15 06:00 UTC ada <a> says the student is right: the teacher <erred>" in words
    assert "People marked the student right in 1 and wrong in 0 of them." in words
    marked = await page(data, f"{DISAGREEMENTS}&mark=right")
    assert [name for name in marked.values("value") if name.startswith("v-")] == [newest.id]
    rest = await page(data, f"{DISAGREEMENTS}&mark=unmarked")
    assert newest.id not in rest.values("value")
    assert isinstance(data.source.clock, VirtualClock)
    data.source.clock.set(NOW.replace(hour=7))
    assert (await mark(data, verdict=newest.id, mark="")).status == 303
    assert "None is marked by a person yet." in (await page(data, DISAGREEMENTS)).words


async def test_what_is_no_mark_is_refused_in_words(data: ConsoleData) -> None:
    assert "there is no disagreement" in (await mark(data, verdict="v-nothing", mark="right")).text
    assert (await mark(data, verdict="", mark="right")).status == 400
    assert (await mark(data, verdict="v", mark="perhaps")).status == 400
    foreign = await ask_app(app(data), "/marks", method="POST", headers={"origin": "http://evil.example"})
    assert foreign.status == 403
    verdict = next(v.id for v in data.of_verdicts() if not v.agreed)
    away = await mark(data, verdict=verdict, mark="wrong", back="https://evil.example/")
    assert away.headers["location"] == DISAGREEMENTS


async def test_a_tenant_sees_its_own_tasks_and_its_own_calls_of_others(data: ConsoleData) -> None:
    overview = await page(data, "/", headers=AS_ACME)
    assert overview.words.count("Waits for") == 2
    assert CRITICAL not in overview.words
    assert "Saved to date" not in overview.words
    own = await page(data, f"/task?name={quote(OWN)}", headers=AS_ACME)
    assert "Cost ledger" in own.words
    shared = await page(data, TASK_PAGE, headers=AS_ACME)
    called = [call for call in data.of_calls() if call.task == TASK and call.origin == "live"]
    mine = [call for call in called if call.tenant == "acme"]
    assert f"{len(mine)} calls to date" in shared.words
    assert "Cost ledger" not in shared.words
    assert "Its story" not in shared.words
    assert "Decide" not in shared.words
    seen = await page(data, DISAGREEMENTS, headers=AS_ACME)
    tenants = {call.id: call.tenant for call in called}
    verdicts = {verdict.id: tenants[verdict.invocation] for verdict in data.of_verdicts()}
    shown = re.findall(r"tenant (\w+)", seen.words)
    assert shown
    assert set(shown) == {"acme"}
    assert set(verdicts.values()) == {"acme", "default"}
    asked = {call.tenant: set[str]() for call in called}
    for call in called:
        asked[call.tenant] |= set(re.findall(r"order (\d+)", call.request.messages[-1].text))
    numbers = set(re.findall(r"order (\d+)", seen.words))
    assert numbers & asked["acme"]
    assert not numbers & (asked["default"] - asked["acme"])
    assert "Mark disagreement" not in str(seen.tags)
    for url in (STUDENT_PAGE, "/settings", "/services"):
        assert (await get(data, url, headers=AS_ACME)).status == 403
    assert (await get(data, f"/task?name={CRITICAL}", headers=AS_ACME)).status == 404
    assert (await ask_app(app(data), "/marks", method="POST", headers={**AS_ACME, "host": "x.example"})).status == 403


async def test_what_a_tenant_is_shown_of_a_shared_task_is_counted_from_its_own_calls(data: ConsoleData) -> None:
    standing = await TenantReader(data.source).standing(TASK, "acme")
    shown = await read_tenant_task(data.source, standing, "acme")
    mine = [call for call in data.of_calls() if (call.task, call.tenant) == (TASK, "acme")]
    assert sum(day.calls for day in shown.days) == sum(call.origin == "live" for call in mine) == standing.to_date.calls
    assert sum(day.served for day in shown.days) == sum(call.served_by == "student" for call in mine)
    assert sum(day.audited for day in shown.days) == sum(call.origin == "audit" for call in mine)
    assert {(entry.reason, *entry.evidence) for entry in shown.events} == {("",)}
    assert (shown.curve, shown.gate, shown.confusion, shown.ledger, shown.students) == ((), (), None, None, ())


async def test_behind_a_proxy_whoever_it_names_is_let_in(data: ConsoleData) -> None:
    settings = StatusSettings(proxy_header="X-Forwarded-User")
    access = settings.create_access("0.0.0.0", "token", data.source.rules)
    named = {"host": "console.example", "x-forwarded-user": "ada"}
    let_in = await ask_app(app(data, access), DISAGREEMENTS, headers=named)
    assert let_in.status == 200
    assert 'value="ada"' in let_in.text
    for headers, client in (({"host": "127.0.0.1"}, "127.0.0.1"), (named, "10.0.0.9"), (named, "nowhere")):
        refused = await ask_app(app(data, access), "/", headers=headers, client=(client, 1))
        assert refused.status == 403


async def test_errors_are_pages_for_browsers_and_json_for_others(data: ConsoleData) -> None:
    missing = await get(data, "/task?name=nothing")
    assert missing.status == 404
    assert "no call of a task 'nothing' was recorded" in HtmlPage(missing.text).words
    plain = await get(data, "/task?name=nothing", headers={"accept": "*/*"})
    assert plain.headers["content-type"] == "application/json"
    nowhere = await get(data, "/nowhere")
    assert nowhere.status == 404
    closed = await ask_app(app(data, StatusAccess("0.0.0.0", "token")), "/")
    assert closed.status == 403
    assert "UNDERSTUDIES_STATUS_KEY" in closed.text
    assert (await get(data, "/", method="POST")).status == 405


async def test_odd_parameters_show_the_first_page(data: ConsoleData) -> None:
    first = (await get(data, DISAGREEMENTS)).text
    for odd in ("&before=yesterday", "&before=2026-01-01|x", "&mark=maybe", "&before=2026-01-01T00:00:00+00:00|"):
        assert (await get(data, DISAGREEMENTS + odd)).text == first
    assert (await get(data, "/?page=0")).status == (await get(data, "/?page=" + "9" * 40)).status == 200


async def test_the_style_is_served_as_a_file(data: ConsoleData) -> None:
    style = await get(data, "/console.css")
    assert style.headers["content-type"] == "text/css; charset=utf-8"
    assert "prefers-color-scheme: dark" in style.text
    assert "url(" not in style.text


async def test_where_nobody_can_steer_there_is_no_form(data: ConsoleData) -> None:
    still = replace(data.source, steers=False)
    answer = await ask_app(ConsoleApp(create_pages(still, StatusAccess("127.0.0.1", "token"))), TASK_PAGE)
    assert "/steering" not in answer.text
    assert "/steering" in (await get(data, TASK_PAGE)).text
