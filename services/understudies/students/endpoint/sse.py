"""Parse server-sent events as far as chat completions use them: one line of data each."""

from collections.abc import Iterator


class DataLineSplitter:
    """Splitter of a byte stream, cut anywhere, into data lines."""

    def __init__(self) -> None:
        self._partial: list[bytes] = []

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """Add a chunk, and yield the data of each event that is now complete; skip comments and other fields.

        >>> stream = DataLineSplitter()
        >>> list(stream.feed(b': ping\\n\\ndata: {"a"')), list(stream.feed(b': 1}\\r\\n\\r\\ndata:[DONE]\\n'))
        ([], [b'{"a": 1}', b'[DONE]'])
        """
        first, *more = chunk.split(b"\n")
        self._partial.append(first)
        for following in more:
            line = b"".join(self._partial)
            self._partial = [following]
            if line.startswith(b"data:"):
                yield line[5:].strip()
            elif line.startswith(b"error:"):
                # llama.cpp reports an error in this field, without a data field.
                yield b'{"error":true}'
