"""Handle what the router's port answers beside calls: metrics, imports, backups, spans and people's decisions."""

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

from starlette.types import Receive, Scope, Send

from understudies.backup.staging import stage_backup
from understudies.datasets.dataset import Example
from understudies.datasets.object_store import ObjectStore
from understudies.embedded.config import PlatformConfig
from understudies.erasure.erasure import Eraser
from understudies.events import Promotion, encode
from understudies.monitoring.admin_app import METRICS_TYPE, exposition
from understudies.monitoring.budget_metrics import BudgetCollector
from understudies.monitoring.evaluator_metrics import EvaluatorCollector
from understudies.monitoring.service_metrics import ServiceCollector
from understudies.observer.corpus import read_task_corpus
from understudies.otlp.endpoint import PATHS as OTLP_PATHS
from understudies.otlp.factory import create_endpoint
from understudies.router.endpoints.admin import AdminHandler
from understudies.router.endpoints.responses import send_response
from understudies.runtime.bus.bus import Bus
from understudies.runtime.errors import RetryLater
from understudies.runtime.online.base import OnlineState
from understudies.runtime.runner import Runner
from understudies.runtime.settings import settings_from
from understudies.runtime.store import Store
from understudies.warm_start.call_sink import CallSink
from understudies.warm_start.settings import ImportSettings

if TYPE_CHECKING:
    from understudies.embedded.platform import Platform

_log = logging.getLogger(__name__)


def metrics_handler(platform: "Platform", runners: Sequence[Runner]) -> AdminHandler:
    """Return the handler of the router's metrics and those of all tasks and services."""

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        found = exposition(
            ServiceCollector(runners),
            BudgetCollector(platform.budget, platform.status.phase, platform.config.clock.now),
            EvaluatorCollector(platform.evaluator.evaluation),
        )
        await send_response(send, 200, {}, platform.router.exposition() + found, METRICS_TYPE)

    return serve


def operation_handlers(
    plan: PlatformConfig,
    bus: Mapping[str, Bus],
    store: Store,
    files: ObjectStore,
    online: OnlineState | None,
    wait_stored: Callable[[], Awaitable[None]],
) -> Mapping[str, AdminHandler]:
    """Return the handlers of imports, exports, backups and erasures, by path."""
    if plan.operations is None:
        return {}
    sink = CallSink(
        settings_from(ImportSettings), store=store, bus=bus["observer"], rules=plan.rules_source, now=plan.clock.now
    )
    eraser = Eraser(
        store=store,
        files=files,
        online=online,
        publish=partial(publish_decision, bus["budget"], store),
        wait_stored=wait_stored,
        clock=plan.clock,
        new_id=plan.id_factory("budget"),
    )
    own_store = None if plan.store_url else store

    async def read_examples(task: str) -> Sequence[Example]:
        await wait_stored()
        most = plan.observer.max_examples
        return (await read_task_corpus(store, task, until=plan.clock.now(), since=None, max_inputs=most)).examples

    return plan.operations(sink, lambda: stage_backup(plan.folder, own_store, wait_stored), eraser, read_examples)


def receiver_handlers(plan: PlatformConfig, bus: Bus) -> Mapping[str, AdminHandler]:
    """Return the observer's receiver of spans, by its paths on the router's port, if there is one."""
    if plan.router.port is None:
        return {}
    endpoint = create_endpoint(
        plan.router, host=plan.router.host, rules=plan.rules_source, bus=bus, clock=plan.clock, redacts=plan.redact
    )
    return dict.fromkeys(OTLP_PATHS, endpoint)


async def publish_decision(bus: Bus, store: Store, event: Promotion) -> None:
    """Publish a decision and store it at once: without a broker, a kill would lose what is not stored yet."""
    await bus.publish(event)
    try:
        await store.insert("promotions", [encode(event)])
    except RetryLater as error:
        _log.warning("a decision is in force, and stored later: %s", error)
