"""Limit the threads of linear algebra while a log is played."""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module

from threadpoolctl import threadpool_limits

from understudies.students.without_pandas import without_pandas

_BLAS_MODULES = ("scipy.linalg.blas", "sklearn.utils.extmath")


@contextmanager
def limit_to_one_thread() -> Iterator[None]:
    """Use one thread: the number of threads affects rounding, so students would differ between machines."""
    with without_pandas():
        for library in _BLAS_MODULES:
            # The limit applies only to libraries that are already loaded.
            import_module(library)
    with threadpool_limits(limits=1):
        yield
