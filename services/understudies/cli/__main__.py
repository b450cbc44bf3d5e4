"""Run the command line as `python -m understudies.cli`."""

from understudies.cli.entry import main

main()
