"""tusk.h for ctypes: structures, constants, prototypes; and the library that is found."""

from __future__ import annotations

import ctypes
import os
from ctypes import (CFUNCTYPE, POINTER, Structure, c_bool, c_char, c_char_p, c_float, c_int, c_int32, c_size_t, c_uint64,
                    c_void_p)
from pathlib import Path

ABI_VERSION = 1
OK = 0
ERROR_USAGE = 6400
ERROR_BUDGET = 7500
NO_TASK = -1
ENCODER_DECODER = 1
HEAD_KINDS = ("none", "exclusive_labels", "independent_labels", "numbers", "embedding")


class Text(Structure):
    _fields_ = [("bytes", POINTER(c_char)), ("count", c_size_t)]

    def decode(self) -> str:
        """A copy as text; bytes that are not UTF-8, as the last ones of a token may be, become U+FFFD."""
        return self.raw().decode(errors="replace")

    def raw(self) -> bytes:
        return ctypes.string_at(self.bytes, self.count) if self.count else b""


class Tokens(Structure):
    _fields_ = [("ids", POINTER(c_int32)), ("types", POINTER(c_int32)), ("count", c_size_t)]


class Matrix(Structure):
    _fields_ = [("values", POINTER(c_float)), ("rows", c_size_t), ("columns", c_size_t)]


class Sized(Structure):
    """A structure whose first member says how long it is."""

    def __init__(self, **members: object) -> None:
        super().__init__(struct_bytes=ctypes.sizeof(type(self)), **members)


class ModelInfo(Sized):
    _fields_ = [
        ("struct_bytes", c_size_t), ("fingerprint", c_uint64), ("backbone_bytes", c_uint64), ("architecture", c_int32),
        ("width", c_int32), ("layers", c_int32), ("decoder_layers", c_int32), ("vocabulary_size", c_int32),
        ("max_source_tokens", c_int32), ("pad_id", c_int32), ("end_id", c_int32), ("start_id", c_int32),
        ("tasks", c_int32), ("has_tokenizer", c_bool), ("has_head", c_bool),
    ]


class TaskInfo(Sized):
    _fields_ = [
        ("struct_bytes", c_size_t), ("name", Text), ("bytes", c_uint64), ("vocabulary_size", c_int32), ("head", c_int32),
        ("outputs", c_int32), ("labels", c_int32),
    ]


class SessionOptions(Sized):
    _fields_ = [
        ("struct_bytes", c_size_t), ("source_tokens", c_int32), ("target_tokens", c_int32), ("beams", c_int32),
        ("threads", c_int32), ("budget_bytes", c_uint64), ("text_bytes", c_uint64), ("isa", c_char_p),
        ("memory", c_void_p), ("memory_bytes", c_size_t), ("truncates", c_bool),
    ]


class Footprint(Sized):
    _fields_ = [
        ("struct_bytes", c_size_t), ("mapped_backbone", c_uint64), ("mapped_tasks", c_uint64),
        ("key_value_cache", c_uint64), ("activations", c_uint64), ("tokenizer", c_uint64), ("runtime_floor", c_uint64),
        ("private_bytes", c_uint64), ("session_bytes", c_uint64), ("source_tokens", c_int32), ("target_tokens", c_int32),
    ]


TOKEN_CALLBACK = CFUNCTYPE(c_bool, c_void_p, c_int32, POINTER(c_char), c_size_t)

# Results and arguments as tusk.h declares them; handles are void pointers.
_HANDLE = c_void_p
_TEXT = (c_char_p, c_size_t)
_PROTOTYPES: dict[str, tuple[object, ...]] = {
    "tusk_library_abi_version": (c_int32,),
    "tusk_status_exit_code": (c_int32, c_int32),
    "tusk_status_name": (c_char_p, c_int32),
    "tusk_model_create": (c_int32, c_void_p, c_size_t, POINTER(_HANDLE)),
    "tusk_model_destroy": (c_int32, _HANDLE),
    "tusk_model_last_message": (c_char_p, _HANDLE),
    "tusk_model_open_path": (c_int32, _HANDLE, c_char_p),
    "tusk_model_open_descriptor": (c_int32, _HANDLE, c_int),
    "tusk_model_open_memory": (c_int32, _HANDLE, c_void_p, c_size_t),
    "tusk_model_mount_path": (c_int32, _HANDLE, c_char_p),
    "tusk_model_mount_descriptor": (c_int32, _HANDLE, c_int),
    "tusk_model_mount_memory": (c_int32, _HANDLE, c_void_p, c_size_t),
    "tusk_model_get_info": (c_int32, _HANDLE, POINTER(ModelInfo)),
    "tusk_model_get_task": (c_int32, _HANDLE, c_int32, POINTER(TaskInfo)),
    "tusk_model_get_label": (c_int32, _HANDLE, c_int32, c_int32, POINTER(Text)),
    "tusk_model_find_task": (c_int32, _HANDLE, *_TEXT, POINTER(c_int32)),
    "tusk_model_plan_session": (c_int32, _HANDLE, POINTER(SessionOptions), POINTER(Footprint)),
    "tusk_session_create": (c_int32, _HANDLE, POINTER(SessionOptions), POINTER(_HANDLE)),
    "tusk_session_destroy": (c_int32, _HANDLE),
    "tusk_session_last_message": (c_char_p, _HANDLE),
    "tusk_session_get_footprint": (c_int32, _HANDLE, POINTER(Footprint)),
    "tusk_session_set_task": (c_int32, _HANDLE, c_int32),
    "tusk_session_set_tasks": (c_int32, _HANDLE, POINTER(c_int32), c_size_t),
    "tusk_session_tokenize_text": (c_int32, _HANDLE, *_TEXT, *_TEXT, POINTER(Tokens)),
    "tusk_session_decode_ids": (c_int32, _HANDLE, POINTER(c_int32), c_size_t, POINTER(Text)),
    "tusk_session_encode_ids": (c_int32, _HANDLE, POINTER(c_int32), POINTER(c_int32), c_size_t),
    "tusk_session_encode_text": (c_int32, _HANDLE, *_TEXT, *_TEXT),
    "tusk_session_get_hidden": (c_int32, _HANDLE, POINTER(Matrix)),
    "tusk_session_get_outputs": (c_int32, _HANDLE, POINTER(Matrix)),
    "tusk_session_get_scores": (c_int32, _HANDLE, POINTER(Matrix)),
    "tusk_session_start_decoding": (c_int32, _HANDLE),
    "tusk_session_step_token": (c_int32, _HANDLE, c_int32, POINTER(Matrix)),
    "tusk_session_generate_ids": (
        c_int32, _HANDLE, POINTER(c_int32), c_size_t, c_int32, TOKEN_CALLBACK, c_void_p, POINTER(Tokens)),
    "tusk_session_generate_text": (c_int32, _HANDLE, *_TEXT, c_int32, TOKEN_CALLBACK, c_void_p, POINTER(Text)),
    "tusk_session_classify_text": (c_int32, _HANDLE, *_TEXT, *_TEXT, POINTER(Matrix), POINTER(c_int32)),
    "tusk_session_embed_text": (c_int32, _HANDLE, *_TEXT, POINTER(Matrix)),
}


def _candidates() -> list[str]:
    """Where the library may be: named by TUSK_LIBRARY, beside this module, built in the repository, on the system."""
    if named := os.environ.get("TUSK_LIBRARY"):
        return [named]
    here = Path(__file__).resolve()
    built = [parent / ".build" / "library" / "embedded" / "lib" / "libtusk.so" for parent in here.parents[2:4]]
    return [str(path) for path in [here.parent / "libtusk.so", *built] if path.exists()] + ["libtusk.so.1"]


def _load() -> ctypes.CDLL:
    problems = []
    for name in _candidates():
        try:
            found = ctypes.CDLL(name)
        except OSError as problem:
            problems.append(str(problem))
            continue
        for function, (result, *arguments) in _PROTOTYPES.items():
            prototype = getattr(found, function)
            prototype.restype = result
            prototype.argtypes = arguments
        if (version := found.tusk_library_abi_version()) != ABI_VERSION:
            raise ImportError(f"{name}: ABI version {version}, but this module needs {ABI_VERSION}")
        return found
    raise ImportError("libtusk is not there: build it with `tools/library`, or name it in TUSK_LIBRARY. "
                      + "; ".join(problems))


library = _load()
