"""Sessions: the memory and the threads that answer with a model."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from . import _abi
from ._abi import library
from ._errors import error
from ._model import Footprint, Model, Task, footprint

OnToken = Callable[[int, str], bool | None]
Ids = Sequence[int] | NDArray[Any]


@dataclass(frozen=True)
class Tokens:
    """Ids of a source with what the model takes around it."""

    """int32 [S]."""
    ids: NDArray[np.int32]
    """int32 [S]: 1 for the second text of a pair."""
    types: NDArray[np.int32]


@dataclass(frozen=True)
class Scores:
    """What a head says of a text."""

    """float32 [outputs]: probabilities of labels, or the numbers of a regression."""
    values: NDArray[np.float32]
    """Names of the outputs; empty if they have none."""
    labels: tuple[str, ...]

    @property
    def label(self) -> str:
        """The label with the largest score, or its number as text if labels have no names."""
        best = int(self.values.argmax())
        return self.labels[best] if self.labels else str(best)

    def items(self) -> list[tuple[str, float]]:
        """Label and score, best first."""
        names = self.labels or tuple(map(str, range(len(self.values))))
        return sorted(zip(names, self.values.tolist()), key=lambda item: -item[1])


class Session:
    """One backbone in use, with one task at a time. Made by `Model.session`.

    Used by one thread at a time; sessions of one model work in parallel (the library runs without Python's lock).
    Every result is a copy that outlives the session.
    """

    def __init__(self, model: Model, options: _abi.SessionOptions) -> None:
        handle = ctypes.c_void_p()
        with model.lock:
            model.require(library.tusk_session_create(model.handle, ctypes.byref(options), ctypes.byref(handle)))
        self.model = model
        self._handle: ctypes.c_void_p | None = handle
        self._tasks: tuple[str, ...] = ()
        self._has_beams = options.beams > 1

    @property
    def handle(self) -> ctypes.c_void_p:
        """The library's `tusk_session *`."""
        if self._handle is None:
            raise ValueError("the session is closed")
        return self._handle

    def _require(self, status: int) -> None:
        if status != _abi.OK:
            raise error(status, library.tusk_session_last_message(self.handle))

    @property
    def footprint(self) -> Footprint:
        """The plan the session was made with."""
        found = _abi.Footprint()
        self._require(library.tusk_session_get_footprint(self.handle, ctypes.byref(found)))
        return footprint(found)

    @property
    def tasks(self) -> tuple[str, ...]:
        """The names of the tasks that act, one behind the other; none for the backbone alone.

        Setting them takes some microseconds. Of norms, biases and heads the last one counts.

        Raises: UsageError if there is no such task, DataError if they have no meaning together.
        """
        return self._tasks

    @tasks.setter
    def tasks(self, names: Sequence[str]) -> None:
        start, count, _kept = id_array([self.model.task_number(name) for name in names])
        self._require(library.tusk_session_set_tasks(self.handle, start, count))
        self._tasks = tuple(names)

    @property
    def task(self) -> str | None:
        """The name of the only task that acts; None for the backbone alone. Setting it sets `tasks`."""
        if len(self._tasks) > 1:
            raise error(_abi.ERROR_USAGE, "several tasks are stacked: ask for `tasks`")
        return self._tasks[0] if self._tasks else None

    @task.setter
    def task(self, name: str | None) -> None:
        self.tasks = () if name is None else (name,)

    def tokenize(self, text: str, pair: str | None = None) -> Tokens:
        """The ids a text, or two that belong together, enter the model with; as `tokenizer(text, pair)`."""
        found = _abi.Tokens()
        self._require(library.tusk_session_tokenize_text(
            self.handle, *encoded(text), *encoded(pair), ctypes.byref(found)))
        return Tokens(ids=ids_of(found.ids, found.count), types=ids_of(found.types, found.count))

    def decode(self, ids: Ids) -> str:
        """The text of ids [any length], special tokens left out."""
        found, (start, count, _kept) = _abi.Text(), id_array(ids)
        self._require(library.tusk_session_decode_ids(self.handle, start, count, ctypes.byref(found)))
        return found.decode()

    def encode(self, text: str | Ids, pair: str | None = None, *, types: Ids | None = None) -> NDArray[np.float32]:
        """What the encoder makes of a text, a pair, or ids with their types: float32 [S, D], a task's prompt first.

        As `last_hidden_state` of a transformers encoder, for one source without padding.
        """
        if isinstance(text, str):
            self._require(library.tusk_session_encode_text(self.handle, *encoded(text), *encoded(pair)))
        else:
            self._encode_ids(text, types)
        return self._matrix(library.tusk_session_get_hidden)

    def _encode_ids(self, ids: Ids, types: Ids | None = None) -> None:
        start, count, _kept = id_array(ids)
        type_start, type_count, _types = id_array(types) if types is not None else (None, count, None)
        if type_count != count:
            raise error(_abi.ERROR_USAGE, f"there are {type_count} types for {count} ids")
        self._require(library.tusk_session_encode_ids(self.handle, start, type_start, count))

    def _matrix(self, function: Any, *arguments: object) -> NDArray[np.float32]:
        found = _abi.Matrix()
        self._require(function(self.handle, *arguments, ctypes.byref(found)))
        return matrix_of(found)

    def _row(self, function: Any, *arguments: object) -> NDArray[np.float32]:
        return self._matrix(function, *arguments).reshape(-1)

    def outputs(self) -> NDArray[np.float32]:
        """The head's logits, numbers or embedding of what `encode` took last: float32 [outputs]."""
        return self._row(library.tusk_session_get_outputs)

    def generate(self, text: str, max_tokens: int = 0, on_token: OnToken | None = None) -> str:
        """The answer of an encoder-decoder to a text; as `tokenizer.decode(model.generate(...))`.

        max_tokens: at most what the session was planned with; 0 for that.
        on_token: called with the id and the text of each new token; False ends the answer. What it raises ends the
        answer and is raised here.
        """
        found, caller = _abi.Text(), Callback(on_token)
        status = library.tusk_session_generate_text(
            self.handle, *encoded(text), max_tokens, caller.function, None, ctypes.byref(found))
        caller.raise_again()
        self._require(status)
        return found.decode()

    def generate_ids(self, ids: Ids, max_tokens: int = 0, on_token: OnToken | None = None) -> NDArray[np.int32]:
        """The answer to a source of ids: int32 [up to T], without the start token, with the one that ends it."""
        found, caller, (start, count, _kept) = _abi.Tokens(), Callback(on_token), id_array(ids)
        status = library.tusk_session_generate_ids(
            self.handle, start, count, max_tokens, caller.function, None, ctypes.byref(found))
        caller.raise_again()
        self._require(status)
        return ids_of(found.ids, found.count)

    def logits(self, source: str | Ids, target: Ids) -> NDArray[np.float32]:
        """Teacher-forced logits of the decoder: float32 [T, V] for the T ids `target`, the start token first."""
        if isinstance(source, str):
            self._require(library.tusk_session_encode_text(self.handle, *encoded(source), *encoded(None)))
        else:
            self._encode_ids(source)
        self._require(library.tusk_session_start_decoding(self.handle))
        return np.concatenate([self._matrix(library.tusk_session_step_token, int(id)) for id in target])

    def classify(self, text: str, pair: str | None = None) -> Scores:
        """The scores of an encoder's labels for a text or a pair, or the numbers of a regression.

        Raises: DataError if the head makes embeddings or there is none.
        """
        found = _abi.Matrix()
        self._require(library.tusk_session_classify_text(
            self.handle, *encoded(text), *encoded(pair), ctypes.byref(found), None))
        values = matrix_of(found)[0]
        return Scores(values=values, labels=self._head().labels)

    def _head(self) -> Task:
        """The task whose head answers: the last with one, or the backbone's own."""
        numbers = [self.model.task_number(name) for name in reversed(self._tasks)]
        heads = (self.model.task(number) for number in numbers)
        return next((task for task in heads if task.head != "none"), self.model.head)

    def embed(self, texts: str | Sequence[str]) -> NDArray[np.float32]:
        """The embedding of a text: float32 [outputs]; of N texts: float32 [N, outputs].

        Raises: DataError if the head makes something else.
        """
        if isinstance(texts, str):
            return self._row(library.tusk_session_embed_text, *encoded(texts))
        rows = [self.embed(text) for text in texts]
        return np.stack(rows) if rows else np.zeros((0, self.model.head.outputs), np.float32)

    def close(self) -> None:
        """End the session's threads and free its memory. Does nothing if that is done."""
        if self._handle is None:
            return
        self._require(library.tusk_session_destroy(self._handle))
        self._handle = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __del__(self) -> None:
        if getattr(self, "_handle", None) is not None:
            library.tusk_session_destroy(self._handle)


class Callback:
    """A Python function as the library calls it. An exception cannot pass through C: it is kept for `raise_again`."""

    def __init__(self, on_token: OnToken | None) -> None:
        self.on_token = on_token
        self.raised: BaseException | None = None
        self.function = _abi.TOKEN_CALLBACK(self.call) if on_token else _abi.TOKEN_CALLBACK()

    def call(self, _context: object, id: int, text: Any, count: int) -> bool:
        try:
            piece = ctypes.string_at(text, count).decode(errors="replace") if count else ""
            return self.on_token is None or self.on_token(id, piece) is not False
        except BaseException as raised:  # noqa: BLE001: whatever it is, it is raised again
            self.raised = raised
            return False

    def raise_again(self) -> None:
        if self.raised is not None:
            raise self.raised


def encoded(text: str | None) -> tuple[bytes | None, int]:
    """A text as address and length. Surrogates, which UTF-8 does not have, become question marks."""
    if text is None:
        return None, 0
    data = text.encode(errors="replace")
    return data, len(data)


def id_array(ids: Ids) -> tuple[Any, int, NDArray[np.int32]]:
    """Address and number of ids, and the array that has to be kept while they are used."""
    wide = np.asarray(ids)
    if wide.ndim != 1 or (wide.size and wide.dtype.kind not in "iu"):
        raise TypeError(f"ids are a sequence of integers, found {wide.dtype} {list(wide.shape)}")
    if wide.size and (wide.min() < -(2 ** 31) or wide.max() >= 2 ** 31):
        raise ValueError("an id does not fit in 32 bits")
    array = np.ascontiguousarray(wide, dtype=np.int32)
    return array.ctypes.data_as(ctypes.POINTER(ctypes.c_int32)), len(array), array


def ids_of(start: Any, count: int) -> NDArray[np.int32]:
    return np.ctypeslib.as_array(start, (count,)).copy() if count else np.zeros(0, np.int32)


def matrix_of(found: _abi.Matrix) -> NDArray[np.float32]:
    return np.ctypeslib.as_array(found.values, (found.rows, found.columns)).copy()
