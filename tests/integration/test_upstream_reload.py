"""Other teachers while a call is under way."""

import asyncio
from typing import Any

from tests.support.fake_teacher import FakeTeacher
from tests.support.upstream import call_of, table, teachers

from understudies.router.upstream.catalogue import TeacherCatalogue


async def test_a_call_keeps_the_fallback_that_it_began_with() -> None:
    async with FakeTeacher("first") as first, FakeTeacher("second") as second:
        first.mood = "hang"
        known: dict[str, Any] = {
            "main": {"base_url": first.url, "fallback": ["more"], "timeouts": {"first_byte_s": 0.2}},
            "more": {"base_url": second.url, "models": ["other"], "auth": "none"},
        }
        async with teachers(**known) as asked:
            asking = asyncio.create_task(asked.ask(call_of()))
            await first.arrived.wait()
            asked.update_catalogue(TeacherCatalogue(table(main={"base_url": first.url})))
            answer = await asking
    assert (answer.teacher, answer.response.message.text) == ("more", "second")
