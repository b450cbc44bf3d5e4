"""ClickHouse's HTTP interface over its engine here: `python clickhouse_http.py PORT FOLDER [PASSWORD [HOST]]`.

The engine is chDB, so parsing, types, settings, errors and formats are ClickHouse's own. What this file adds is what
the server does around it: credentials, sessions, compression, parameters of the URL, headers and statuses of answers.
"""

import base64
import gzip
import re
import sys
import threading
import zlib
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

import chdb
import lz4.frame

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

USER: Final = "understudies"

_connect: Callable[[str], Any] = chdb.connect
_CODE: Final = re.compile(r"Code: (\d+)")
_NOT_SETTINGS: Final = frozenset(
    {"buffer_size", "client_protocol_version", "compress", "database", "decompress", "default_format", "password"}
    | {"query", "query_id", "quota_key", "role", "session_check", "session_id", "session_timeout", "stacktrace", "user"}
    | {"wait_end_of_query"}
)
_STATUSES: Final = {516: 403, 372: 404, 373: 500, 60: 404, 81: 404, 47: 404, 46: 404, 62: 400, 241: 500, 159: 408}
_COMPRESS: Final[dict[str, Callable[[bytes], bytes]]] = {
    "lz4": lz4.frame.compress,
    "zstd": zstd.compress,
    "gzip": gzip.compress,
}
_DECOMPRESS: Final[dict[str, Callable[[bytes], bytes]]] = {
    "lz4": lz4.frame.decompress,
    "zstd": zstd.decompress,
    "gzip": gzip.decompress,
    "deflate": zlib.decompress,
}


class QueryError(Exception):
    """An error as the server words it: its text begins with its code."""


class Engine:
    """The data folder; every request has a connection of its own, but those of one session share theirs."""

    def __init__(self, folder: str, password: str) -> None:
        self.password = password
        self._folder = folder
        self._sessions: dict[str, tuple[Any, threading.Lock]] = {}
        self._lock = threading.Lock()
        # The engine lives as long as one connection does.
        self._anchor = _connect(folder)
        self._anchor.query(f"CREATE DATABASE IF NOT EXISTS {USER}")

    def run(self, sql: bytes, parameters: dict[str, str], output_format: str, *, read_only: bool) -> bytes:
        """Run one statement; raises QueryError."""
        name = parameters.get("session_id")
        if name is None:
            connection = _connect(self._folder)
            try:
                return _run_on(connection, sql, parameters, output_format, read_only)
            finally:
                connection.close()
        connection, busy = self._session(name, must_exist=parameters.get("session_check") == "1")
        if not busy.acquire(blocking=False):
            raise QueryError(
                f"Code: 373. DB::Exception: Session {name} is locked by a concurrent client. (SESSION_IS_LOCKED)"
            )
        try:
            return _run_on(connection, sql, parameters, output_format, read_only)
        finally:
            busy.release()

    def _session(self, name: str, *, must_exist: bool) -> tuple[Any, threading.Lock]:
        with self._lock:
            if name not in self._sessions:
                if must_exist:
                    raise QueryError("Code: 372. DB::Exception: Session not found. (SESSION_NOT_FOUND)")
                self._sessions[name] = _connect(self._folder), threading.Lock()
            return self._sessions[name]


def _run_on(connection: Any, sql: bytes, parameters: dict[str, str], output_format: str, read_only: bool) -> bytes:
    bound = {name[6:]: value for name, value in parameters.items() if name.startswith("param_")}
    settings = {
        name: value for name, value in parameters.items() if name not in _NOT_SETTINGS and not name.startswith("param_")
    }
    try:
        if database := parameters.get("database"):
            connection.query(f"USE {_quoted(database, '`')}")
        for name, value in settings.items():
            connection.query(f"SET {_quoted(name, '`')} = {_quoted(value, chr(39))}")
        if read_only:
            connection.query("SET readonly = 2")
        found: bytes = connection.query(sql, output_format, params=bound).bytes()
    except Exception as error:
        raise QueryError(str(error)) from error
    return found


def _quoted(text: str, mark: str) -> str:
    return mark + text.replace("\\", "\\\\").replace(mark, f"\\{mark}") + mark


class Handler(BaseHTTPRequestHandler):
    """One connection of a client."""

    protocol_version = "HTTP/1.1"
    engine: Engine

    def do_GET(self) -> None:
        """Answer a ping, or a statement that only reads."""
        if urlsplit(self.path).path == "/ping":
            self._reply(200, b"Ok.\n")
        else:
            self._answer(read_only=True)

    def do_POST(self) -> None:
        """Answer a statement, which is in the URL, in the body, or begins in the one and goes on in the other."""
        self._answer(read_only=False)

    def _answer(self, *, read_only: bool) -> None:
        body = self._read_body()
        parameters = dict(parse_qsl(urlsplit(self.path).query, keep_blank_values=True))
        try:
            self._check_credentials()
            encoding = self.headers.get("Content-Encoding")
            if encoding:
                body = _DECOMPRESS[encoding](body)
            sql = parameters.get("query", "").encode()
            sql = sql + b"\n" + body if sql and body else sql + body
            output_format = self.headers.get("X-ClickHouse-Format") or parameters.get("default_format", "TabSeparated")
            found = self.engine.run(sql, parameters, output_format, read_only=read_only)
        except QueryError as error:
            code = _CODE.search(str(error))
            number = int(code[1]) if code else 1002
            text = f"{error} (version 26.9.2.1)\n".encode()
            self._reply(_STATUSES.get(number, 500), text, {"X-ClickHouse-Exception-Code": str(number)})
            return
        headers = {"X-ClickHouse-Timezone": "UTC", "X-ClickHouse-Query-Id": parameters.get("query_id", "")}
        if parameters.get("enable_http_compression") == "1":
            accepted = [word.strip() for word in self.headers.get("Accept-Encoding", "").split(",")]
            if chosen := next((name for name in accepted if name in _COMPRESS), None):
                found, headers["Content-Encoding"] = _COMPRESS[chosen](found), chosen
        self._reply(200, found, headers)

    def _check_credentials(self) -> None:
        kind, _, given = self.headers.get("Authorization", "").partition(" ")
        expected = f"{USER}:{self.engine.password}" if self.engine.password else None
        if expected is None or (kind == "Basic" and base64.b64decode(given).decode() == expected):
            return
        raise QueryError(
            f"Code: 516. DB::Exception: {USER}: Authentication failed: password is incorrect, or there is no user with "
            "such name. (AUTHENTICATION_FAILED)"
        )

    def _read_body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        pieces = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            pieces.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(pieces)

    def _reply(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": "text/plain", **(headers or {}), "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Keep quiet."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Keep quiet about clients that have gone away."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


def main(port: int, folder: str, password: str = "", host: str = "127.0.0.1") -> None:
    """Serve until killed."""
    Handler.engine = Engine(folder, password)
    _Server((host, port), Handler).serve_forever()


if __name__ == "__main__":
    main(int(sys.argv[1]), *sys.argv[2:])
