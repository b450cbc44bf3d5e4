"""Server-sent events, as far as chat completions use them: one line of data each."""

from collections.abc import Iterator


class DataLineSplitter:
    """Puts lines together from pieces that are cut anywhere."""

    def __init__(self) -> None:
        self._begun: list[bytes] = []

    def feed(self, piece: bytes) -> Iterator[bytes]:
        """The data of each event that is complete now; comments and other fields are passed over.

        >>> stream = DataLineSplitter()
        >>> list(stream.feed(b': ping\\n\\ndata: {"a"')), list(stream.feed(b': 1}\\r\\n\\r\\ndata:[DONE]\\n'))
        ([], [b'{"a": 1}', b'[DONE]'])
        """
        first, *more = piece.split(b"\n")
        self._begun.append(first)
        for following in more:
            line = b"".join(self._begun)
            self._begun = [following]
            if line.startswith(b"data:"):
                yield line[5:].strip()
            elif line.startswith(b"error:"):
                # llama.cpp names an error so, and gives it no data of its own.
                yield b'{"error":true}'
