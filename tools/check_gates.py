"""The gates of `tools/check`: what each runs, which number it takes from the output, and what that number must be."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

UNTRUSTED = "'TuskCTests|TuskFormatTests|TuskTokenizerTests|TuskConversionTests'"
FUZZ_SECONDS = 60


@dataclass(frozen=True)
class Gate:
    name: str
    purpose: str
    """One shell command that reproduces the gate; it fails if its exit code is not 0."""
    command: str
    """The number in the command's output, with its unit; None if there is none, which fails the gate."""
    number: Callable[[str], str | None]
    threshold: str


def last(pattern: str, unit: str = "") -> Callable[[str], str | None]:
    """The last match of `pattern`'s first group."""
    def find(output: str) -> str | None:
        found = re.findall(pattern, output)
        return f"{found[-1]}{unit}" if found else None

    return find


def count(pattern: str, unit: str) -> Callable[[str], str | None]:
    return lambda output: f"{len(re.findall(pattern, output, re.MULTILINE))} {unit}"


TESTS_PASSED = last(r"Test run with (\d+) tests? in \d+ suites? passed", " tests passed")

GATES: list[Gate] = [
    Gate("format-lint", "swift format has nothing to say",
         "swift format lint --strict --recursive Package.swift Sources Tests",
         count(r": error: ", "findings"), "0 findings"),
    Gate("file-length", "files a person can read",
         "tools/check_file_length.py", last(r"longest: (\d+)", " lines"), "<= 600 lines, should be <= 400"),
    Gate("warnings", "Swift and C compile without a warning",
         "tools/check_warnings.sh", last(r"warnings: (\d+)", " warnings"), "0 warnings"),
    Gate("tests", "every test", "tools/test", TESTS_PASSED, "all pass"),
    Gate("tests-portable", "every test with the portable kernels",
         "TUSK_ISA=portable tools/test", TESTS_PASSED, "all pass"),
    Gate("address-sanitizer", "the readers of untrusted bytes and arguments touch only their own memory",
         "LSAN_OPTIONS=suppressions=tools/leaks.supp swift test --disable-xctest --scratch-path .build-asan "
         f"--sanitize=address --filter {UNTRUSTED}",
         TESTS_PASSED, "all pass"),
    Gate("embedded", "the engine as Embedded Swift answers from the example file",
         "tools/check_embedded.sh", last(r"stripped: (\d+)", " bytes"), "answers as ordinary Swift does, <= 400000 bytes"),
    Gate("nano", "tusk-nano is small, dynamic and static, takes little memory and starts at once",
         "swift build -c release --product tusk && tools/minilm && "
         "TUSK_EMBEDDED=1 swift build --scratch-path .build-embedded -c release --product tusk-nano "
         "--disable-local-rpath && "
         "TUSK_EMBEDDED=1 swift build --scratch-path .build-embedded-static -c release --product tusk-nano "
         "-Xswiftc -Xclang-linker -Xswiftc -static && "
         "tools/check_nano.py --model .build/minilm-packed/minilm-int8.tusk --task .build/minilm-packed/sst2.tusk",
         last(r"nano: ([\d,]+ bytes)"), "<= 400,000 and 1,500,000 bytes, <= 2 MB private, as recorded; start <= 1.3 answers"),
    Gate("cross-aarch64", "tusk-nano and libtusk for 64-bit ARM give this machine's bits: kernels, answers, golden cases",
         "swift build -c release --product tusk && tools/minilm && tools/cross aarch64 --golden --model "
         ".build/minilm-packed/minilm-int8.tusk .build/minilm-packed/sst2.tusk --text 'a thoughtful and moving film'",
         last(r"golden: (\d+) answers of tusk-nano", " golden answers bit for bit"), "all the same"),
    Gate("cross-embedded", "the engine without an operating system answers on a Cortex-M4, and leaves little undefined",
         "tools/cross riscv32 && tools/cross armv7em",
         last(r"answer on a Cortex-M4: (\w+)"), "the answer of this machine, no symbol that is not documented"),
    Gate("no-foundation", "the engine needs neither Foundation nor Dispatch",
         "tools/check_imports.py", last(r"found: (\d+)", " uses"), "0 uses"),
    Gate("golden", "the answers PyTorch gave",
         "swift build -c release && tools/golden Tests/Fixtures/golden && tools/golden Tests/Fixtures/golden-extra && "
         "tools/golden Tests/Fixtures/golden-encoders",
         last(r"golden: \d+ cases, (\d+) failures", " failures"), "0 failures"),
    Gate("plans", "the answers PyTorch gave, in every plan that a memory budget can lead to",
         "swift build -c release && tools/check_plans.py Tests/Fixtures/golden Tests/Fixtures/golden-encoders",
         last(r"plans: \d+ cases, \d+ arithmetics, (\d+) failures", " failures"), "0 failures"),
    Gate("memory", "private memory of T5-base and MiniLM, without a budget and with the smallest",
         "swift build -c release && tools/check_embedded.sh && tools/check_memory.py",
         last(r"memory: (\d+) failures", " failures"), "0 failures"),
    Gate("sharing", "1,000 tasks mounted at once, 8 processes over one backbone",
         "swift build -c release && tools/check_embedded.sh && tools/check_sharing.py",
         last(r"sharing: .*, (\d+) failures", " failures"), "0 failures"),
    Gate("golden-adapters", "every kind of adapter, alone, stacked and averaged",
         "swift build -c release && tools/golden Tests/Fixtures/golden-adapters",
         last(r"golden: \d+ cases, (\d+) failures", " failures"), "0 failures"),
    Gate("export", "adapters, PEFT and the authors' model load what Tusk exports, and answer as Tusk does",
         "swift build -c release --product tusk && tools/check_export.py",
         last(r"export: \d+ tasks, (\d+ directories, \d+ failures)"), "0 failures, differences <= 1e-3"),
    Gate("crash-safety", "a converter killed at any moment leaves the old file or the new one",
         "swift build -c release && tools/check_crash_safety.py", last(r"(\d+) (?:kills|moments)", " kills"),
         "50 kills, no broken file"),
    Gate("training", "a training run killed at any moment goes on to the same task, in the memory that was planned",
         "swift build -c release --product tusk && tools/check_training.py --minilm",
         last(r"training: (\d+) kills", " kills"), "20 kills, the same bytes; plan +- 10 % or 4 MB"),
    Gate("conversion-memory", "a T5-base checkpoint is converted in a fixed, small memory, and fast",
         "swift build -c release && tools/check_conversion_memory.py", last(r"peak (.* MB/s)"),
         "<= 32 MB private, >= 200 MB/s"),
    Gate("int8-error", "int8 weights and 14-bit activations stay close to float32 on T5-base shapes",
         "swift build -c release && tools/check_int8_error.py", last(r"error ([\d.]+ %)"), "<= 2 %, same bits at 1 and 2 threads"),
    Gate("methods", "every method of the Compacter paper trains as many numbers as the paper says",
         "swift build -c release --product tusk && tools/method_table.py", last(r"(\d+ methods counted)"),
         "all as the authors' code counts them"),
    Gate("footprint", "private memory is what was planned, with 1 task and with 100",
         "swift build -c release && TUSK_EMBEDDED=1 swift build --scratch-path .build-embedded -c release && "
         "tools/check_footprint.py", last(r"footprint: ([\d,]+ bytes private)"), "plan +- 3 % or 256 KB"),
    Gate("library", "libtusk answers from C and Python as PyTorch does, with the interface it promised",
         "swift build -c release --product tusk && tools/check_library.py", last(r"Swift runtime: (\d+ bytes)"),
         "no difference to Tests/LibraryTests/abi.txt, 0 allocations in the caller's memory, 380000 to 420000 bytes"),
    Gate("readme", "every command of the README does what it says",
         "tools/check_readme.py", last(r"(\d+) blocks ran", " blocks ran"), "all run"),
]


def fuzz_gates(targets: list[str]) -> list[Gate]:
    return [
        Gate(f"fuzz-{target}", "random bytes never trap, hang or exhaust memory",
             f"tools/fuzz {target} {FUZZ_SECONDS}", last(r"Done (\d+) runs", " runs"), "no finding")
        for target in targets
    ]
