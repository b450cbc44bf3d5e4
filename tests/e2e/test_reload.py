"""A service that runs and its rules, as they are changed under it."""

import signal
from pathlib import Path

from tests.support.commands import Command
from tests.support.tansu_broker import TansuBroker

NO_GROUP = {"UNDERSTUDIES_BUS_GROUP_PREFIX": ""}


async def test_a_running_service_takes_changed_rules_and_refuses_broken_ones(tmp_path: Path) -> None:
    rules = tmp_path / "understudies.toml"
    rules.write_text("[tasks.triage]\ncritical = true\n")
    async with TansuBroker() as broker:
        words = ("--bootstrap", broker.bootstrap, "--data", tmp_path / "data", "--rules", rules)
        async with Command("budget", *words, env=NO_GROUP) as service:
            await service.wait_for_line("budget runs")
            rules.write_text("[tasks.triage]\ncritcal = true\n")
            await service.wait_for_line(r"ERROR .*rejected the changed rules.* tasks\.triage\.critcal: unknown setting")
            rules.write_text("[tasks.triage]\nmin_agreement = 0.9\n")
            await service.wait_for_line(f"INFO .*the changed rules in {rules} are in force")
            await service.wait_for_line(
                r"WARNING .*tasks\.triage\.min_agreement has changed, which takes effect for students"
            )
            rules.write_text('[tasks.triage]\nmin_agreement = 0.9\njudge = "label"\n')
            service.process.send_signal(signal.SIGHUP)
            await service.wait_for_line(r"WARNING .*tasks\.triage\.judge has changed")
            assert await service.terminate() == 0
    assert len([line for line in service.lines if "ERROR" in line]) == 1
