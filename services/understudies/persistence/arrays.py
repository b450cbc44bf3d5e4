"""Types of attributes that are numpy arrays or the wealth of bets."""

import math
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt

from understudies.persistence.fields import As


def _to_array(values: Any) -> npt.NDArray[np.float64]:
    return np.array(values, dtype=np.float64)


def _to_list(values: npt.NDArray[np.float64]) -> list[Any]:
    return list(values.tolist())


def _to_log_array(values: Any) -> npt.NDArray[np.float64]:
    logs = _to_array(values)
    # Nulls become NaN, which no log-wealth is.
    return np.where(np.isnan(logs), -np.inf, logs)


def _to_log_list(logs: npt.NDArray[np.float64]) -> list[Any]:
    written: npt.NDArray[np.object_] = logs.astype(object)
    written[np.isneginf(logs)] = None
    return list(written.tolist())


def _to_log(written: float | None) -> float:
    return -math.inf if written is None else written


def _to_json_log(log: float) -> float | None:
    return None if log == -math.inf else log


FloatArray = Annotated[npt.NDArray[np.float64], As(list[Any], read=_to_array, write=_to_list)]

LogWealthArray = Annotated[npt.NDArray[np.float64], As(list[Any], read=_to_log_array, write=_to_log_list)]
"""Logs of the wealth of bets: null in JSON for a lost bet, whose log is minus infinity."""

LogWealth = Annotated[float, As(float | None, read=_to_log, write=_to_json_log)]
"""The log of a bet's wealth: null in JSON for a lost bet, whose log is minus infinity."""
