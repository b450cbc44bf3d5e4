"""Assemble the command line `understudies`."""

import typer

from understudies.cli.backtest import EPILOG as BACKTEST_EXAMPLES
from understudies.cli.backtest import backtest
from understudies.cli.backup import BACKUP_EPILOG, RESTORE_EPILOG, backup, restore
from understudies.cli.demo import demo
from understudies.cli.dlq import dlq
from understudies.cli.erase import EPILOG as ERASE_EXAMPLES
from understudies.cli.erase import erase
from understudies.cli.export import EPILOG as EXPORT_EXAMPLES
from understudies.cli.export import export
from understudies.cli.import_calls import EPILOG as IMPORT_EXAMPLES
from understudies.cli.import_calls import import_calls
from understudies.cli.judge import EPILOG as JUDGE_EXAMPLES
from understudies.cli.judge import judge
from understudies.cli.keys import keys
from understudies.cli.router import EPILOG as ROUTER_EXAMPLES
from understudies.cli.router import router
from understudies.cli.rules import rules
from understudies.cli.service import SERVICES, service_command
from understudies.cli.status import EPILOG as STATUS_EXAMPLES
from understudies.cli.status import status
from understudies.cli.steer import steer
from understudies.cli.students import students
from understudies.cli.topics import EPILOG as TOPICS_EXAMPLES
from understudies.cli.topics import topics
from understudies.cli.up import EPILOG as UP_EXAMPLES
from understudies.cli.up import up

app = typer.Typer(
    name="understudies",
    help="Distil routine LLM work into cheap students, prove that they agree with the teacher, move the traffic over.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command(epilog=BACKTEST_EXAMPLES)(backtest)
app.command()(demo)
app.command(epilog=UP_EXAMPLES)(up)
app.command(epilog=JUDGE_EXAMPLES)(judge)
app.command("import", epilog=IMPORT_EXAMPLES)(import_calls)
app.command(epilog=EXPORT_EXAMPLES)(export)
app.command(epilog=STATUS_EXAMPLES)(status)
app.command(epilog=BACKUP_EPILOG)(backup)
app.command(epilog=RESTORE_EPILOG)(restore)
app.command(epilog=ERASE_EXAMPLES)(erase)
for name, purpose in SERVICES.items():
    app.command(name, help=purpose)(service_command(name))
app.command(epilog=ROUTER_EXAMPLES)(router)
app.command(epilog=TOPICS_EXAMPLES)(topics)
app.add_typer(steer, name="steer")
app.add_typer(dlq, name="dlq")
app.add_typer(rules, name="rules")
app.add_typer(keys, name="keys")
app.add_typer(students, name="students")


@app.callback(invoke_without_command=True)
def _main(show_version: bool = typer.Option(False, "--version", help="Print the version and exit.")) -> None:
    if show_version:
        from importlib.metadata import version

        typer.echo(version("understudies"))
        raise typer.Exit
