"""Share the events that were not sent yet with the recorder process, so that they outlive the router's.

Events are sent in batches. Until a batch is in the kernel's hands, its events are also in memory that both processes
hold (`memfd_create`), which a process that is killed leaves behind. Nothing is written to disk: the events are not
redacted yet.
"""

import logging
import mmap
import os
import struct
from typing import Final

_WORD: Final = struct.Struct("@Q")
"""The first word of a segment, the number of bytes in use: native, because such a word is written at once."""
_FRAME: Final = struct.Struct("@QQ")
"""Before each event: its sequence number and its size in bytes."""
_SEGMENT_BYTES: Final = 1 << 20
_MAX_KEPT_BYTES: Final = 8 << 20
"""The size above which a segment is made small again once its events were sent."""

_log = logging.getLogger(__name__)


class SharedLog:
    """Append unsent events to one of two segments of shared memory, by turns; a segment grows as needed.

    Raises OSError if there is no memory to share.
    """

    def __init__(self) -> None:
        self._segments = (_Segment(), _Segment())
        self._turn = 0

    @property
    def descriptors(self) -> tuple[int, int]:
        """The file descriptors of the segments, for `read_unsent`."""
        first, second = self._segments
        return first.descriptor, second.descriptor

    def append(self, sequence: int, event: bytes) -> None:
        """Append an event."""
        self._segments[self._turn].append(sequence, event)

    def rotate(self) -> None:
        """Continue in the other segment, and forget what was in it: the events sent before the last batch."""
        self._turn = 1 - self._turn
        self._segments[self._turn].clear()

    def close(self) -> None:
        """Release the memory, once the other process does so too."""
        for segment in self._segments:
            segment.close()


class _Segment:
    def __init__(self) -> None:
        self.descriptor = os.memfd_create("understudies-unsent")
        os.posix_fallocate(self.descriptor, 0, _SEGMENT_BYTES)
        self._size = _SEGMENT_BYTES
        self._memory = mmap.mmap(self.descriptor, _SEGMENT_BYTES)
        self._end = 0
        self.clear()

    def append(self, sequence: int, event: bytes) -> None:
        begin = self._end + _FRAME.size
        end = begin + len(event)
        if end > self._size and not self._grow(end):
            return
        _FRAME.pack_into(self._memory, self._end, sequence, len(event))
        self._memory[begin:end] = event
        # Last, so that a reader finds whole events only.
        _WORD.pack_into(self._memory, 0, end)
        self._end = end

    def clear(self) -> None:
        self._end = _WORD.size
        _WORD.pack_into(self._memory, 0, self._end)
        if self._size > _MAX_KEPT_BYTES:
            self._memory.resize(_SEGMENT_BYTES)
            self._size = _SEGMENT_BYTES

    def close(self) -> None:
        self._memory.close()
        os.close(self.descriptor)

    def _grow(self, needed: int) -> bool:
        size = max(2 * self._size, needed)
        try:
            # Without memory behind it, writing to it would end the process.
            os.posix_fallocate(self.descriptor, 0, size)
            self._memory.resize(size)
        except OSError as error:
            _log.warning("%d bytes cannot be shared with the recorder process: %s", size, error)
            return False
        self._size = size
        return True


def read_unsent(descriptors: tuple[int, ...], first: int) -> list[bytes]:
    """Return the events with the sequence number `first` and later ones, in order; call it once the writer is gone."""
    found: dict[int, bytes] = {}
    for descriptor in descriptors:
        used = _WORD.unpack(os.pread(descriptor, _WORD.size, 0))[0]
        with mmap.mmap(descriptor, used, access=mmap.ACCESS_READ) as memory:
            at = _WORD.size
            while at < used:
                sequence, size = _FRAME.unpack_from(memory, at)
                begin = at + _FRAME.size
                at = begin + size
                if sequence >= first:
                    found[sequence] = memory[begin:at]
    return [found[sequence] for sequence in sorted(found)]
