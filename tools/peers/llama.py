"""llama.cpp as a peer: built from a folder with its source for this machine's CPU, and given the checkpoint in Q8_0."""

from __future__ import annotations

import hashlib
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from environment import EnvironmentFailure, cache_folder, chosen_python, say
from training_data import TOKENIZER, TOKENIZER_FILES

DRIVER = Path(__file__).resolve().parent / "llama_t5.c"
# Only the library, and of it only what runs on the CPU.
OPTIONS = {
    "CMAKE_BUILD_TYPE": "Release",
    "BUILD_SHARED_LIBS": "ON",
    "GGML_NATIVE": "ON",
    "GGML_OPENMP": "OFF",
    "LLAMA_BUILD_APP": "OFF",
    "LLAMA_BUILD_COMMON": "OFF",
    "LLAMA_BUILD_EXAMPLES": "OFF",
    "LLAMA_BUILD_SERVER": "OFF",
    "LLAMA_BUILD_TESTS": "OFF",
    "LLAMA_BUILD_TOOLS": "OFF",
}


@dataclass(frozen=True)
class Llama:
    """The program that runs llama.cpp and the file that it maps."""

    driver: Path
    model: Path

    def command(self, source: str, target: str, threads: int) -> list[str]:
        return [str(self.driver), str(self.model), source, target, str(threads)]


def run(*command: str | Path) -> None:
    words = [str(word) for word in command]
    done = subprocess.run(words, capture_output=True, text=True)
    if done.returncode:
        raise EnvironmentFailure(f"{' '.join(words)}: exit code {done.returncode}\n{(done.stderr or done.stdout)[-2000:]}")


def prepared(source: Path, checkpoint: Path) -> Llama:
    """Builds and converts what is not there yet."""
    for path in (source / "include/llama.h", source / "convert_hf_to_gguf.py", checkpoint / "config.json"):
        if not path.is_file():
            raise EnvironmentFailure(f"{path} is not there; --llama takes llama.cpp's source, --checkpoint a T5")
    python = chosen_python(None, ["llama"])
    folder = cache_folder() / "llama"
    folder.mkdir(parents=True, exist_ok=True)
    return Llama(built(source.resolve(), folder, python.parent / "cmake"), converted(source, checkpoint, folder, python))


def built(source: Path, folder: Path, cmake: Path) -> Path:
    build, driver = folder / "build", folder / "llama_t5"
    say(f"building llama.cpp in {build}, which takes minutes the first time")
    try:
        run(cmake, "-S", source, "-B", build, *(f"-D{name}={value}" for name, value in OPTIONS.items()))
    except EnvironmentFailure as failure:
        raise EnvironmentFailure(f"{failure}\nRemove {build} if it is another version's.") from None
    run(cmake, "--build", build, "--target", "llama")
    libraries = build / "bin"
    run("cc", "-std=c11", "-O2", "-Wall", "-Wextra", "-I", source / "include", "-I", source / "ggml/include", DRIVER, "-o",
        driver, "-L", libraries, f"-Wl,-rpath,{libraries},-rpath-link,{libraries}", "-lllama", "-lggml", "-lggml-base")
    return driver


def converted(source: Path, checkpoint: Path, folder: Path, python: Path) -> Path:
    """The checkpoint as GGUF; its name changes with the checkpoint."""
    files = sorted(path for path in checkpoint.resolve().iterdir() if path.is_file())
    state = [(str(path), path.stat().st_size, path.stat().st_mtime_ns) for path in files]
    target = folder / f"{hashlib.sha256(repr(state).encode()).hexdigest()[:12]}-q8_0.gguf"
    if target.exists():
        return target
    say(f"converting {checkpoint} to {target}")
    partial = target.with_suffix(".partial")
    with tempfile.TemporaryDirectory(dir=folder) as linked:
        # A random checkpoint has no tokenizer, and the converter asks for one; ids do not depend on it.
        lent = () if (checkpoint / "spiece.model").exists() else [TOKENIZER / name for name in TOKENIZER_FILES]
        for file in (*files, *lent):
            (Path(linked) / file.name).symlink_to(file.resolve())
        run(python, source / "convert_hf_to_gguf.py", linked, "--outtype", "q8_0", "--outfile", partial)
    partial.rename(target)
    return target
