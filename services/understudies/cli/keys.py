"""Implement `understudies keys`: generate and hash the API keys of tenants."""

import getpass
import sys
from typing import Annotated

import typer

from understudies.cli.process import report_errors
from understudies.runtime.errors import ConfigurationError
from understudies.runtime.rules.api_keys import generate_key, key_hash
from understudies.runtime.rules.toml_format import header

keys = typer.Typer(help="Generate and hash API keys of tenants; the rules hold only hashes.", no_args_is_help=True)

EPILOG = """
Examples:

  understudies keys new --tenant acme

  pass show router/acme | understudies keys hash
"""


@keys.command(epilog=EPILOG)
def new(tenant: Annotated[str, typer.Option(help="Name of the tenant in the rules.", show_default=False)]) -> None:
    """Generate a key: it is shown once, and its hash goes into the rules."""
    with report_errors():
        if not tenant.strip():
            raise ConfigurationError("--tenant must be a name such as acme")
        key = generate_key()
        typer.echo(f"the key, shown only once:\n\n{key}\n\nfor understudies.toml, next to the tenant's other keys:\n")
        typer.echo(f'{header("tenants", tenant)}\nkeys = ["{key_hash(key)}"]')


@keys.command("hash", epilog=EPILOG)
def hash_key() -> None:
    """Print the hash of an existing key, read from standard input."""
    with report_errors():
        key = getpass.getpass("key: ") if sys.stdin.isatty() else sys.stdin.readline().rstrip("\r\n")
        try:
            typer.echo(key_hash(key))
        except ValueError as error:
            raise ConfigurationError(f"this key cannot be used: {error}") from None
