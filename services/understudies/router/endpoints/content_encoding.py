"""Decompress request bodies, within the size limit."""

import importlib
import zlib
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any, Final

from understudies.router.endpoints.errors import BadRequest, HttpError, PayloadTooLarge

_MAX_LAYERS: Final = 4
_MAX_MEMBERS: Final = 1000
"""More members than a body in blocks of 64 kB has within the usual limit; a body of tiny ones would take minutes."""
_PIECE_BYTES: Final = 65_536
_GZIP_BITS: Final = 16 + zlib.MAX_WBITS
_ZSTD_WINDOW_LOG: Final = 23
"""The largest window of Zstandard over HTTP, 8 MB, by RFC 9659."""

_Decode = Callable[[bytes, int], bytes]
"""Decompresses a body to at most a number of bytes; raises PayloadTooLarge, or BadRequest if it is corrupt."""


def decompress_body(raw: bytes, content_encoding: str, limit: int) -> bytes:
    """Return the body without its content encodings, of which the last was applied last.

    Raises PayloadTooLarge for more than `limit` bytes, BadRequest for corrupt data, and HttpError (415, with the
    encodings that are known) for an unknown encoding.
    """
    names = [name for part in content_encoding.split(",") if (name := part.strip().lower()) not in ("", "identity")]
    if len(names) > _MAX_LAYERS:
        raise BadRequest(f"the body has more than {_MAX_LAYERS} content encodings")
    for name in reversed(names):
        decode = _DECODERS.get(name)
        if decode is None:
            message = f"content encoding {name!r} is unknown here; send one of {', '.join(_DECODERS)}, or none"
            raise HttpError(
                415, message, code="unsupported_content_encoding", headers={"accept-encoding": ", ".join(_DECODERS)}
            )
        raw = decode(raw, limit)
    return raw


def _decompress_gzip(raw: bytes, limit: int) -> bytes:
    return _decompress_members(raw, limit, lambda: zlib.decompressobj(_GZIP_BITS), zlib.error)


def _decompress_deflate(raw: bytes, limit: int) -> bytes:
    """Decompress the zlib format, or bare deflate data, which some clients send by that name."""
    is_zlib = len(raw) > 1 and raw[0] & 0x0F == zlib.DEFLATED and int.from_bytes(raw[:2], "big") % 31 == 0
    bits = zlib.MAX_WBITS if is_zlib else -zlib.MAX_WBITS
    return _decompress_members(raw, limit, lambda: zlib.decompressobj(bits), zlib.error)


def _decompress_members(raw: bytes, limit: int, make_decompressor: Callable[[], Any], error: type[Exception]) -> bytes:
    """Decompress members that follow one another, as gzip and Zstandard allow."""
    parts: list[bytes] = []
    body, at, left = memoryview(raw), 0, limit
    for _ in range(_MAX_MEMBERS):
        decompressor = make_decompressor()
        while not decompressor.eof:
            # In pieces, as each member copies the bytes after it that it was given.
            piece = body[at : at + _PIECE_BYTES]
            if not piece:
                raise BadRequest("the compressed body is incomplete")
            try:
                parts.append(decompressor.decompress(piece, left + 1))
            except error as cause:
                raise BadRequest("the compressed body is corrupt") from cause
            left -= len(parts[-1])
            if left < 0:
                raise PayloadTooLarge(limit)
            at += len(piece) - len(decompressor.unused_data)
        if at == len(body):
            return b"".join(parts)
    raise BadRequest(f"the compressed body has more than {_MAX_MEMBERS} members")


def _make_zstd(module: ModuleType) -> _Decode:
    options = {module.DecompressionParameter.window_log_max: _ZSTD_WINDOW_LOG}

    def decompress(raw: bytes, limit: int) -> bytes:
        return _decompress_members(raw, limit, lambda: module.ZstdDecompressor(options=options), module.ZstdError)

    return decompress


def _make_brotli(module: ModuleType) -> _Decode:
    def decompress(raw: bytes, limit: int) -> bytes:
        decompressor = module.Decompressor()
        parts: list[bytes] = []
        left, rest = limit, raw
        while not decompressor.is_finished():
            try:
                part = decompressor.process(rest, output_buffer_limit=left + 1)
            except module.error as cause:
                raise BadRequest("the compressed body is corrupt") from cause
            if not part and not decompressor.is_finished():
                raise BadRequest("the compressed body is incomplete")
            parts.append(part)
            left, rest = left - len(part), b""
            if left < 0:
                raise PayloadTooLarge(limit)
        return b"".join(parts)

    return decompress


def _find_module(*names: str) -> ModuleType | None:
    for name in names:
        try:
            return importlib.import_module(name)
        except ImportError:
            continue
    return None


def _find_decoders() -> dict[str, _Decode]:
    """Return the decoders by encoding: those of the standard library, and of packages where they are installed."""
    decoders: dict[str, _Decode] = {"gzip": _decompress_gzip, "deflate": _decompress_deflate}
    zstd, brotli = _find_module("compression.zstd", "backports.zstd"), _find_module("brotli")
    if brotli is not None and hasattr(brotli.Decompressor, "can_accept_more_data"):
        # Older versions cannot limit what they return, so that a small body could fill the memory.
        decoders["br"] = _make_brotli(brotli)
    if zstd is not None:
        decoders["zstd"] = _make_zstd(zstd)
    return {**decoders, "x-gzip": _decompress_gzip}


_DECODERS: Final[Mapping[str, _Decode]] = _find_decoders()
