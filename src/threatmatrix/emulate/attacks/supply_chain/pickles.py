"""Model files that would run something when unpickled, and that nobody here ever unpickles.

What they would run is harmless: ``operator.concat`` of two texts, which gives a marker. A scanner must find them all
the same, by what any payload needs: an opcode that names a callable (GLOBAL, INST, or STACK_GLOBAL) and one that calls
it (REDUCE, INST, OBJ or NEWOBJ). The pickles are put together opcode by opcode, so that the variants are exactly what
they are called. Source: Python's ``pickletools``; MITRE ATLAS AML.T0018.002 and AML.T0011.000; Zhao et al., "Models Are
Codes", 2024, for the places where such files were found.

==================  ===================================================================================================
plain               protocol 2: GLOBAL, TUPLE2, REDUCE
stack-global        protocol 4: the name is built from two strings on the stack
memo                the strings go through the memo, and are fetched out of order, with decoys in between
instance            protocol 0: INST names and calls at once, no REDUCE
nested              a pickle inside a bytes object inside a harmless-looking dictionary, and a call at the end
appended            weights that load, and the call behind them in the same stream
pt                  the plain one as ``archive/data.pkl`` in a zip, as PyTorch writes it
joblib              zlib around the plain one, as joblib writes it
h5                  the signature of HDF5, and the plain one behind it: a suffix that scanners pass over
==================  ===================================================================================================
"""

from __future__ import annotations

import io
import pickletools
import zipfile
import zlib
from collections.abc import Callable
from types import MappingProxyType

__all__ = ["MARKER", "VARIANTS", "calls", "pickle_streams"]

MARKER = "threatmatrix inert payload"
"""What would come of loading it, and what a person finds who looks for it with ``strings``."""

_MODULE, _NAME = "operator", "concat"
_FIRST, _SECOND = MARKER[:13], MARKER[13:]
_NAMES = frozenset({"GLOBAL", "STACK_GLOBAL", "INST"})
_CALLS = frozenset({"REDUCE", "INST", "OBJ", "NEWOBJ", "NEWOBJ_EX"})
_HDF5 = b"\x89HDF\r\n\x1a\n"
_EPOCH = (1980, 1, 1, 0, 0, 0)


def _text(value: str) -> bytes:
    """BINUNICODE."""
    raw = value.encode()
    return b"X" + len(raw).to_bytes(4, "little") + raw


def _short(value: str) -> bytes:
    """SHORT_BINUNICODE."""
    raw = value.encode()
    return b"\x8c" + len(raw).to_bytes(1, "little") + raw


_ARGUMENTS = _text(_FIRST) + _text(_SECOND) + b"\x86"  # TUPLE2
_CALL = f"c{_MODULE}\n{_NAME}\n".encode() + _ARGUMENTS + b"R"  # GLOBAL … REDUCE


def _plain() -> bytes:
    return b"\x80\x02" + _CALL + b"."


def _stack_global() -> bytes:
    return b"\x80\x04" + _short(_MODULE) + _short(_NAME) + b"\x93" + _short(_FIRST) + _short(_SECOND) + b"\x86R."


def _memo() -> bytes:
    """BINPUT each of four strings and a decoy, drop them, BINGET them in another order."""
    stored = (_SECOND, _NAME, "numpy.core.multiarray", _FIRST, _MODULE)
    body = b"".join(_text(value) + b"q" + bytes([i]) + b"0" for i, value in enumerate(stored))
    return b"\x80\x04" + body + b"h\x04h\x01\x93h\x03h\x00\x86R."


def _instance() -> bytes:
    return f"(V{_FIRST}\nV{_SECOND}\ni{_MODULE}\n{_NAME}\n.".encode()


def _nested() -> bytes:
    inner = _stack_global()
    held = b"B" + len(inner).to_bytes(4, "little") + inner  # BINBYTES
    return b"\x80\x03}(" + _text("weights") + held + _text("epoch") + _CALL + b"u."  # EMPTY_DICT MARK … SETITEMS


def _appended() -> bytes:
    numbers = b"".join(b"G" + bytes(8) for _ in range(64))
    return b"\x80\x02](" + numbers + b"e0" + _CALL + b"."  # EMPTY_LIST MARK … APPENDS POP


def _pt() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in (
            ("archive/data.pkl", _plain()),
            ("archive/data/0", bytes(256)),
            ("archive/version", b"3"),
        ):
            archive.writestr(zipfile.ZipInfo(name, _EPOCH), content)
    return file.getvalue()


def _joblib() -> bytes:
    return zlib.compress(_plain(), 3)


def _h5() -> bytes:
    return _HDF5 + bytes(40) + _plain()


VARIANTS: MappingProxyType[str, tuple[str, Callable[[], bytes]]] = MappingProxyType(
    {
        "plain": (".pkl", _plain),
        "stack-global": (".pkl", _stack_global),
        "memo": (".pickle", _memo),
        "instance": (".pkl", _instance),
        "nested": (".ckpt", _nested),
        "appended": (".pkl", _appended),
        "pt": (".pt", _pt),
        "joblib": (".joblib", _joblib),
        "h5": (".h5", _h5),
    }
)
"""Variant → the ending of its file, and how it is made."""


def pickle_streams(content: bytes) -> list[bytes]:
    """Where in a file pickles may lie: in a zip's entries, behind zlib, behind HDF5's signature, or all of it."""
    if content.startswith(b"PK"):
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            return [archive.read(name) for name in archive.namelist() if name.endswith(".pkl")]
    if content.startswith(_HDF5):
        at = content.find(b"\x80", len(_HDF5))
        return [content[at:]] if at >= 0 else []
    if content[:1] == b"x" and int.from_bytes(content[:2], "big") % 31 == 0:  # RFC 1950, section 2.2
        return [zlib.decompress(content)]
    return [content]


def calls(content: bytes) -> tuple[str, ...]:
    """The opcodes by which a file names and calls something, as ``pickletools`` lists them; () where it does neither.

    It is listed, never run. What lies inside a bytes object of the pickle is listed as well.
    """
    found: list[str] = []
    for stream in pickle_streams(content):
        for opcode, argument, _ in pickletools.genops(stream):
            if opcode.name in _NAMES | _CALLS:
                found.append(opcode.name)
            if isinstance(argument, bytes) and argument.endswith(b"."):
                found += calls(argument)
    return tuple(found) if _NAMES & set(found) and _CALLS & set(found) else ()
