"""Models: a backbone and its tasks in open files."""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from . import _abi
from ._abi import library
from ._errors import error

if TYPE_CHECKING:
    from ._session import Session

PathLike = str | os.PathLike[str]


@dataclass(frozen=True)
class ModelInfo:
    """What a backbone is."""

    """Names the checkpoint; tasks carry the one of theirs."""
    fingerprint: int
    """Bytes of the backbone's file, mapped and shared by all processes."""
    backbone_bytes: int
    is_encoder: bool
    """D."""
    width: int
    layers: int
    """0 in an encoder."""
    decoder_layers: int
    vocabulary_size: int
    """Longest source there are positions for; None for no bound."""
    max_source_tokens: int | None
    pad_id: int
    end_id: int
    start_id: int
    has_tokenizer: bool
    has_head: bool


@dataclass(frozen=True)
class Task:
    """A task that is mounted."""

    number: int
    name: str
    """Bytes in its file."""
    bytes: int
    """What its own head makes: "none", "exclusive_labels", "independent_labels", "numbers" or "embedding"."""
    head: str
    """Numbers the head makes."""
    outputs: int
    """Names of the outputs; empty if they have none."""
    labels: tuple[str, ...]


@dataclass(frozen=True)
class Footprint:
    """Where the memory of a session goes, in bytes, computed before anything runs."""

    """Mapped read-only and shared by all processes."""
    mapped_backbone: int
    mapped_tasks: int
    """Private."""
    key_value_cache: int
    activations: int
    tokenizer: int
    runtime_floor: int
    """Sum of the private ones, without Python's own."""
    private_bytes: int
    """S and T as planned."""
    source_tokens: int
    target_tokens: int


class Model:
    """A backbone and its tasks, mapped read-only and never copied.

    Any number of sessions use one model, each in a thread of its own. Close sessions before their model.
    """

    def __init__(self, path: PathLike | int, tasks: Iterable[PathLike | int] = ()) -> None:
        """Open the file of a backbone or bundle, and mount the tasks of further files.

        Files are paths or open file descriptors, which may be closed afterwards.

        Raises: InputError if a file is not there, DataError if it is damaged or a task is of another backbone.
        """
        handle = ctypes.c_void_p()
        status = library.tusk_model_create(None, 0, ctypes.byref(handle))
        if status != _abi.OK:
            raise error(status, "a model cannot be made")
        self._handle: ctypes.c_void_p | None = handle
        # The library runs one call of class [model] at a time, and refuses others.
        self.lock = threading.Lock()
        try:
            self._open(path, library.tusk_model_open_path, library.tusk_model_open_descriptor)
            for task in tasks:
                self.mount(task)
        except BaseException:
            self.close()
            raise

    @property
    def handle(self) -> ctypes.c_void_p:
        """The library's `tusk_model *`."""
        if self._handle is None:
            raise ValueError("the model is closed")
        return self._handle

    def _open(self, file: PathLike | int, by_path: Any, by_descriptor: Any) -> None:
        with self.lock:
            if isinstance(file, int):
                status = by_descriptor(self.handle, file)
            else:
                status = by_path(self.handle, os.fsencode(file))
            self.require(status, str(file))

    def require(self, status: int, place: str = "") -> None:
        """Raise the exception for a status with the model's last message. The caller holds `lock`."""
        if status != _abi.OK:
            raise error(status, library.tusk_model_last_message(self.handle), place)

    def mount(self, file: PathLike | int) -> None:
        """Mount the tasks of a file, for sessions made from now on.

        Raises: DataError if a task belongs to another backbone.
        """
        self._open(file, library.tusk_model_mount_path, library.tusk_model_mount_descriptor)

    @property
    def info(self) -> ModelInfo:
        found = self._info()
        return ModelInfo(
            fingerprint=found.fingerprint, backbone_bytes=found.backbone_bytes,
            is_encoder=found.architecture != _abi.ENCODER_DECODER, width=found.width, layers=found.layers,
            decoder_layers=found.decoder_layers, vocabulary_size=found.vocabulary_size,
            max_source_tokens=found.max_source_tokens or None, pad_id=found.pad_id, end_id=found.end_id,
            start_id=found.start_id, has_tokenizer=found.has_tokenizer, has_head=found.has_head)

    def _info(self) -> _abi.ModelInfo:
        found = _abi.ModelInfo()
        status = library.tusk_model_get_info(self.handle, ctypes.byref(found))
        if status != _abi.OK:
            raise error(status, "the model cannot be asked")
        return found

    @property
    def tasks(self) -> list[Task]:
        """All tasks that are mounted, in the order of their files."""
        return [self.task(number) for number in range(self._info().tasks)]

    @property
    def head(self) -> Task:
        """The backbone's own head, as a task without a name and number -1."""
        return self.task(_abi.NO_TASK)

    def task(self, number: int) -> Task:
        """Task `number`, or with -1 the backbone's own head.

        Raises: UsageError if there is none.
        """
        found = _abi.TaskInfo()
        status = library.tusk_model_get_task(self.handle, number, ctypes.byref(found))
        if status != _abi.OK:
            raise error(status, f"task {number}")
        labels = []
        for label in range(found.labels):
            text = _abi.Text()
            library.tusk_model_get_label(self.handle, number, label, ctypes.byref(text))
            labels.append(text.decode())
        return Task(number=number, name=found.name.decode(), bytes=found.bytes, head=_abi.HEAD_KINDS[found.head],
                    outputs=found.outputs, labels=tuple(labels))

    def task_number(self, name: str) -> int:
        """The number of the first task called `name`.

        Raises: UsageError if there is none.
        """
        number = ctypes.c_int32()
        encoded = name.encode()
        status = library.tusk_model_find_task(self.handle, encoded, len(encoded), ctypes.byref(number))
        if status != _abi.OK:
            raise error(status, f"there is no task {name!r}; the model has "
                                f"{', '.join(task.name for task in self.tasks) or 'none'}")
        return number.value

    def plan(self, **options: Any) -> Footprint:
        """The memory a session with these options takes; `Model.session` lists them. Makes no session.

        Raises: BudgetError if `budget_bytes` cannot be met.
        """
        given, found = session_options(**options), _abi.Footprint()
        with self.lock:
            self.require(library.tusk_model_plan_session(self.handle, ctypes.byref(given), ctypes.byref(found)))
        return footprint(found)

    def session(
        self, task: str | None = None, *, source_tokens: int = 512, target_tokens: int = 64, beams: int = 1,
        threads: int = 1, budget_bytes: int | None = None, truncates: bool = False, isa: str | None = None,
    ) -> Session:
        """A session on `task`, or on the backbone alone.

        source_tokens: longest source, S.      target_tokens: longest answer, T.
        beams: hypotheses of a beam search; 1 is greedy decoding.
        threads: answers do not depend on it.  budget_bytes: upper bound on private memory.
        truncates: cut longer sources as `truncation=True` does in transformers, rather than refuse them.
        isa: best instruction set that may be used, as "portable".

        Raises: UsageError for numbers out of range, BudgetError, InternalError.
        """
        from ._session import Session

        session = Session(self, session_options(
            source_tokens=source_tokens, target_tokens=target_tokens, beams=beams, threads=threads,
            budget_bytes=budget_bytes, truncates=truncates, isa=isa))
        try:
            session.task = task
        except BaseException:
            session.close()
            raise
        return session

    def close(self) -> None:
        """Unmap the files. Does nothing if that is done.

        Raises: UsageError while sessions are open.
        """
        if self._handle is None:
            return
        with self.lock:
            self.require(library.tusk_model_destroy(self._handle))
            self._handle = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __del__(self) -> None:
        if getattr(self, "_handle", None) is not None:
            library.tusk_model_destroy(self._handle)


def session_options(
    source_tokens: int = 0, target_tokens: int = 0, beams: int = 0, threads: int = 0, budget_bytes: int | None = None,
    truncates: bool = False, isa: str | None = None,
) -> _abi.SessionOptions:
    """The library's structure. Numbers that do not fit their member are refused here: ctypes would cut them."""
    for name, value in {"source_tokens": source_tokens, "target_tokens": target_tokens, "beams": beams,
                        "threads": threads}.items():
        if not -(2 ** 31) <= value < 2 ** 31:
            raise error(_abi.ERROR_USAGE, f"{name} is out of range: found {value}")
    if budget_bytes is not None and not 0 < budget_bytes < 2 ** 64:
        raise error(_abi.ERROR_USAGE, f"budget_bytes is out of range: found {budget_bytes}")
    return _abi.SessionOptions(
        source_tokens=source_tokens, target_tokens=target_tokens, beams=beams, threads=threads,
        budget_bytes=budget_bytes or 0, truncates=truncates, isa=isa.encode() if isa else None)


def footprint(found: _abi.Footprint) -> Footprint:
    return Footprint(**{name: getattr(found, name) for name in Footprint.__dataclass_fields__})
