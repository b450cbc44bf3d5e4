"""An agent's fortnight of recorded calls, made up for demonstrations and tests."""

from understudies.backtest.generator.fortnight import DEFAULT_CALLS, generate_demo_log

__all__ = ["DEFAULT_CALLS", "generate_demo_log"]
