"""`python -m understudies.cli`."""

from understudies.cli.main import app

app()
