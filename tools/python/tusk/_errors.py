"""Failures of the library, one exception for each group of statuses."""

from __future__ import annotations

from ._abi import library


class Error(Exception):
    """A call of the library failed. `status` is its number, `name` the constant's name in tusk.h."""

    def __init__(self, status: int, message: str) -> None:
        self.status = status
        self.name = library.tusk_status_name(status).decode()
        super().__init__(f"{message or 'the call failed'} ({self.name})")


class UsageError(Error, ValueError):
    """The call is wrong (group 64): a number out of range, a task that is not there, calls out of order."""


class DataError(Error, ValueError):
    """A file or a text cannot be used (group 65); the message has the byte and what was required."""


class InputError(Error, OSError):
    """There is no such file (group 66)."""


class InternalError(Error, RuntimeError):
    """The machine is short of memory or threads (group 70)."""


class BudgetError(Error, MemoryError):
    """The memory budget cannot be met (group 75); the message names the smallest one that can."""


GROUPS: dict[int, type[Error]] = {64: UsageError, 65: DataError, 66: InputError, 70: InternalError, 75: BudgetError}


def error(status: int, message: bytes | str, place: str = "") -> Error:
    """The exception for `status`, with `place` before the library's sentence."""
    sentence = message.decode(errors="replace") if isinstance(message, bytes) else message
    kind = GROUPS.get(library.tusk_status_exit_code(status), Error)
    return kind(status, f"{place}: {sentence}" if place else sentence)
