"""How many threads linear algebra takes while a log is played."""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module

from threadpoolctl import threadpool_limits

_BLAS_MODULES = ("scipy.linalg.blas", "sklearn.utils.extmath")


@contextmanager
def limit_to_one_thread() -> Iterator[None]:
    """One thread: a sum is rounded by how many share it, and a student would be another one on another machine."""
    for library in _BLAS_MODULES:
        # A limit holds for what is loaded when it is set.
        import_module(library)
    with threadpool_limits(limits=1):
        yield
