"""`understudies observer|evaluator|trainer|budget`: one service alone, from its settings."""

import asyncio
import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from understudies.cli.alone import artifact_root, load_bus_settings, run_single_service
from understudies.cli.failure import report_errors
from understudies.cli.options import DEFAULT_DATA_DIR, ArtifactsOption, BootstrapOption, DataOption, RulesOption
from understudies.runtime import StoreSettings, SystemClock
from understudies.runtime.environment import settings_from
from understudies.runtime.folder import lock_data_dir
from understudies.runtime.logs import configure_logging
from understudies.runtime.reload import RulesSource

if TYPE_CHECKING:
    from understudies.runtime import Bus
    from understudies.runtime.runner import Service
    from understudies.students import ObjectStore

SERVICES = {
    "observer": "Run the observer: all topics into the store, datasets on demand.",
    "evaluator": "Run the evaluator: verdicts, gates, drift.",
    "trainer": "Run the trainer: students from datasets.",
    "budget": "Run the budget service: return on investment, promotions.",
}


def service_command(name: str) -> Callable[..., None]:
    """The command that runs one service."""

    def run(
        bootstrap: BootstrapOption = None,
        data: DataOption = DEFAULT_DATA_DIR,
        artifacts: ArtifactsOption = None,
        rules: RulesOption = None,
    ) -> None:
        configure_logging()
        with report_errors():
            source = RulesSource(path=rules)
            settings, folder = load_bus_settings(name, bootstrap), data.resolve()

            async def compose(bus: "Bus", files: "ObjectStore", opened: contextlib.AsyncExitStack) -> "Service":
                return await _create_service(name, bus, files, folder, source, opened)

            with lock_data_dir(folder, name):
                asyncio.run(
                    run_single_service(
                        name,
                        settings,
                        data=folder,
                        artifacts=artifact_root(folder, artifacts),
                        rules=source,
                        create_service=compose,
                    )
                )

    return run


async def _create_service(
    name: str, bus: "Bus", files: "ObjectStore", data: Path, rules: RulesSource, opened: contextlib.AsyncExitStack
) -> "Service":
    """The service, composed from its settings; what it opens is closed with `opened`."""
    from understudies.events import new_id
    from understudies.students import StudentCache

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

        shelf = StudentCache(files)
        opened.push_async_callback(shelf.close)
        return evaluator.create_app(
            settings_from(evaluator.EvaluatorSettings),
            bus=bus,
            object_store=files,
            students=shelf,
            rules=rules,
            new_id=new_id,
        )
    if name == "trainer":
        from understudies import trainer

        settings_ = settings_from(trainer.TrainerSettings)
        return trainer.create_app(settings_, bus=bus, clock=clock, object_store=files, new_id=new_id, rules=rules)
    from understudies import budget

    return budget.create_app(settings_from(budget.BudgetSettings), bus=bus, rules=rules, new_id=new_id)


def _store_url(data: Path) -> str:
    """The store of the settings; without one, the data folder's, which is kept."""
    settings = settings_from(StoreSettings)
    return settings.url.get_secret_value() if "url" in settings.model_fields_set else f"chdb://{data / 'store'}"
