"""`python -m understudies.backtest.generator FILE` writes a synthetic fortnight of recorded calls."""

import argparse
from pathlib import Path

from understudies.backtest.generator.demo_log import DEFAULT_CALLS, generate_demo_log


def main() -> None:
    parser = argparse.ArgumentParser(prog="understudies.backtest.generator", description=__doc__)
    parser.add_argument("file", type=Path, help="JSON lines, gzipped where the name ends in .gz")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--calls", type=int, default=DEFAULT_CALLS)
    options = parser.parse_args()
    generate_demo_log(options.file, seed=options.seed, calls=options.calls)


if __name__ == "__main__":
    main()
