"""`understudies observer|evaluator|trainer|budget`: one service alone, from its settings."""

import asyncio
import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from understudies.cli.alone import broker, root_of, run_alone
from understudies.cli.failure import told
from understudies.cli.options import DATA, Artifacts, Bootstrap, Data, RulesFile
from understudies.runtime import StoreSettings, SystemClock
from understudies.runtime.environment import settings_from
from understudies.runtime.folder import data_folder
from understudies.runtime.logs import log_to_stderr
from understudies.runtime.reload import RulesSource

if TYPE_CHECKING:
    from understudies.runtime import Bus
    from understudies.runtime.runner import App
    from understudies.students import Files

SERVICES = {
    "observer": "Run the observer: all topics into the store, datasets on demand.",
    "evaluator": "Run the evaluator: verdicts, gates, drift.",
    "trainer": "Run the trainer: students from datasets.",
    "budget": "Run the budget service: return on investment, promotions.",
}


def service_command(name: str) -> Callable[..., None]:
    """The command that runs one service."""

    def run(
        bootstrap: Bootstrap = None, data: Data = DATA, artifacts: Artifacts = None, rules: RulesFile = None
    ) -> None:
        log_to_stderr()
        with told():
            source = RulesSource(path=rules)
            settings, folder = broker(name, bootstrap), data.resolve()

            async def compose(bus: "Bus", files: "Files", opened: contextlib.AsyncExitStack) -> "App":
                return await _app(name, bus, files, folder, source, opened)

            with data_folder(folder, name):
                asyncio.run(
                    run_alone(
                        name, settings, data=folder, root=root_of(folder, artifacts), rules=source, compose=compose
                    )
                )

    return run


async def _app(
    name: str, bus: "Bus", files: "Files", data: Path, rules: RulesSource, opened: contextlib.AsyncExitStack
) -> "App":
    """The service, composed from its settings; what it opens is closed with `opened`."""
    from understudies.events import new_id
    from understudies.students import Shelf

    clock = SystemClock()
    if name == "observer":
        from understudies import observer
        from understudies.runtime import Store

        store = await Store.open(_store_url(data))
        opened.push_async_callback(store.close)
        settings = settings_from(observer.ObserverSettings)
        return observer.create_app(settings, bus=bus, clock=clock, store=store, files=files, new_id=new_id)
    if name == "evaluator":
        from understudies import evaluator

        shelf = Shelf(files)
        opened.push_async_callback(shelf.close)
        return evaluator.create_app(
            settings_from(evaluator.EvaluatorSettings), bus=bus, files=files, shelf=shelf, rules=rules, new_id=new_id
        )
    if name == "trainer":
        from understudies import trainer

        settings_ = settings_from(trainer.TrainerSettings)
        return trainer.create_app(settings_, bus=bus, clock=clock, files=files, new_id=new_id, rules=rules)
    from understudies import budget

    return budget.create_app(settings_from(budget.BudgetSettings), bus=bus, rules=rules, new_id=new_id)


def _store_url(data: Path) -> str:
    """The store of the settings; without one, the data folder's, which is kept."""
    settings = settings_from(StoreSettings)
    return settings.url.get_secret_value() if "url" in settings.model_fields_set else f"chdb://{data / 'store'}"
