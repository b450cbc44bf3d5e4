"""Configure the services that run in one process."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from understudies.budget.settings import BudgetSettings
from understudies.datasets.dataset import Example
from understudies.erasure.erasure import Eraser
from understudies.evaluator.settings import EvaluatorSettings
from understudies.events import NewId, new_id
from understudies.notices.settings import NoticeSettings
from understudies.observer.settings import ObserverSettings
from understudies.router.call import Teacher
from understudies.router.endpoints.admin import AdminHandler
from understudies.router.settings import RouterSettings
from understudies.runtime.bus.in_flight import InFlightTracker
from understudies.runtime.clock import Clock, SystemClock
from understudies.runtime.rules.rules import Rules
from understudies.runtime.rules.source import RulesSource
from understudies.runtime.service import Service
from understudies.runtime.settings import BusSettings, StoreSettings, settings_from
from understudies.status.decision import PublishDecision
from understudies.trainer.settings import TrainerSettings
from understudies.warm_start.call_sink import CallSink

if TYPE_CHECKING:
    from understudies.embedded.platform import Platform


@dataclass(frozen=True, slots=True)
class PlatformConfig:
    """Configuration of the platform; the parts that a backtest replaces are fields."""

    folder: Path
    rules: Rules | RulesSource = field(default_factory=Rules)
    clock: Clock = field(default_factory=SystemClock)
    id_factory: Callable[[str], NewId] = lambda service: new_id
    teacher: Teacher | None = None
    draw: Callable[[], float] | None = None
    redact: bool = True
    keeps_state: bool = True
    bus: BusSettings | None = None
    bus_in_memory: bool = False
    """Without a broker: events stay in this process, and are forgotten once all services have handled them.

    While calls wait that take `UNDERSTUDIES_BUS_MEMORY_BYTES`, further ones wait on disk.
    """
    in_flight: InFlightTracker | None = None
    store_buffer_bytes: int = 0
    """Bytes of events that wait in memory to be stored in one batch; what waits is lost with the process."""
    store_url: str | None = None
    store: StoreSettings = field(default_factory=partial(settings_from, StoreSettings))
    router: RouterSettings = field(default_factory=partial(settings_from, RouterSettings))
    budget: BudgetSettings = field(default_factory=partial(settings_from, BudgetSettings))
    evaluator: EvaluatorSettings = field(default_factory=partial(settings_from, EvaluatorSettings))
    trainer: TrainerSettings = field(default_factory=partial(settings_from, TrainerSettings))
    observer: ObserverSettings = field(default_factory=partial(settings_from, ObserverSettings))
    extra_services: Sequence[Service] = ()
    pages: Callable[["Platform", PublishDecision], Mapping[str, AdminHandler]] | None = None
    operations: (
        Callable[
            [CallSink, Callable[[], Awaitable[Path]], Eraser, Callable[[str], Awaitable[Sequence[Example]]]],
            Mapping[str, AdminHandler],
        ]
        | None
    ) = None
    notices: NoticeSettings | None = None

    @property
    def rules_source(self) -> RulesSource:
        """The rules as a source that tells of their changes."""
        return self.rules if isinstance(self.rules, RulesSource) else RulesSource(self.rules)
