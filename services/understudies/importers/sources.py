"""Find the files of a log: one, those of a folder, or those that a pattern matches."""

import glob
from pathlib import Path
from typing import Final

_SUFFIXES: Final = frozenset(
    {"", ".json", ".jsonl", ".ndjson", ".jsonlines", ".csv", ".tsv", ".parquet", ".pq", ".log", ".txt", ".gz", ".out"}
    | {".zst", ".zip", ".bz2", ".xz"}
)
"""Those of logs, and of archives, whose reader says that they have to be unpacked."""
_PATTERN_CHARACTERS: Final = frozenset("*?[")


def find_files(source: Path) -> list[Path]:
    """Return the files of a source in the order of their names; raises OSError if there is none.

    Of a folder these are the files below it that may hold a log, without hidden ones.
    """
    if source.is_dir():
        found = [path for path in source.rglob("*") if _may_hold_log(path, source)]
        if not found:
            raise FileNotFoundError(2, "the folder holds no file of a log", str(source))
        return sorted(found)
    if not source.exists() and _PATTERN_CHARACTERS & set(str(source)):
        matched = sorted(
            path
            for name in glob.glob(str(source), recursive=True)  # noqa: PTH207 - Path.glob takes no absolute pattern
            if (path := Path(name)).is_file()
        )
        if not matched:
            raise FileNotFoundError(2, "no file matches the pattern", str(source))
        return matched
    return [source]


def _may_hold_log(path: Path, folder: Path) -> bool:
    hidden = any(part.startswith((".", "_")) for part in path.relative_to(folder).parts)
    # A rotated log has its number or date at the end.
    suffixes = [suffix.lower() for suffix in path.suffixes] or [""]
    is_log = suffixes[-1] in _SUFFIXES or any(suffix in _SUFFIXES for suffix in suffixes[:-1])
    return path.is_file() and not hidden and is_log
