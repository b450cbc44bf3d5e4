"""A backtest that is to be served says at once that its port is in use, not after it was played."""

import socket
from pathlib import Path

import pytest

from understudies.cli.backtest import run_backtest
from understudies.runtime.errors import ConfigurationError


def test_a_port_in_use_is_told_before_the_log_is_read(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ConfigurationError, match=rf"127\.0\.0\.1:{port}: Address already in use; choose a free"):
            run_backtest(tmp_path / "none.jsonl", serve=port)
    with pytest.raises(ConfigurationError, match=r"none\.jsonl"):
        run_backtest(tmp_path / "none.jsonl", serve=port)
