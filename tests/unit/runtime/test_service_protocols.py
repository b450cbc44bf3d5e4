"""What each service offers the runner beyond the least: found by its attributes, so a renamed one is lost silently."""

import pytest

from understudies.budget.app import BudgetApp
from understudies.evaluator.app import EvaluatorApp
from understudies.observer.app import ObserverApp
from understudies.router.app import RouterApp
from understudies.runtime import service
from understudies.trainer.app import TrainerApp

OPTIONAL = (
    service.Stateful,
    service.Replaying,
    service.Republishing,
    service.RunsWithoutBus,
    service.Draining,
    service.PeriodClosing,
)
SET_IN_CONSTRUCTOR = {"is_behind"}


@pytest.mark.parametrize(
    ("app", "offered"),
    [
        (ObserverApp, set()),
        (EvaluatorApp, {service.Stateful, service.Republishing, service.PeriodClosing}),
        (TrainerApp, {service.Stateful, service.Republishing}),
        (BudgetApp, {service.Stateful, service.Republishing}),
        (RouterApp, {service.Stateful, service.Replaying, service.RunsWithoutBus, service.Draining}),
    ],
)
def test_each_service_offers_what_the_runner_uses(app: type, offered: set[type]) -> None:
    def members(protocol: type) -> set[str]:
        annotated = set(protocol.__annotations__)
        named = {name for name in vars(protocol) if not name.startswith("_")}
        return (annotated | named) - SET_IN_CONSTRUCTOR

    assert {protocol for protocol in OPTIONAL if all(hasattr(app, name) for name in members(protocol))} == offered
