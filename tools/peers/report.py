"""The results of tools/compare as a Markdown page and a chart."""

from __future__ import annotations

import statistics
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import charts
import sentences
from make_checkpoint import SIZES
from measure import ROWS, Samples

NAMES = {"tusk": "Tusk", "onnxruntime": "ONNX Runtime", "openvino": "OpenVINO", "ctranslate2": "CTranslate2",
         "torch": "torch int8", "torch-float32": "torch float32", "llama.cpp": "llama.cpp Q8_0"}


@dataclass
class Results:
    size: str
    command: str
    load: float  # the load average before the run
    peers: list[str]
    tokens: int
    rounds: int
    samples: dict[int, Samples] = field(default_factory=dict)
    errors: dict[str, dict[str, float]] = field(default_factory=dict)
    # [engine][source tokens]
    memory: dict[str, dict[int, dict[str, float]]] = field(default_factory=dict)
    embedding: sentences.Results | None = None

    @property
    def engines(self) -> list[str]:
        return ["tusk", *self.peers]

    def json(self) -> dict[str, Any]:
        return {
            "machine": machine(), "size": self.size, "command": self.command, "rounds": self.rounds, "target_tokens": self.tokens,
            "tokens_per_second": {str(threads): samples.speeds for threads, samples in self.samples.items()},
            "tusk_bench": {str(threads): samples.benches for threads, samples in self.samples.items()},
            "int8_error": self.errors, "memory": self.memory, "embedding": asdict(self.embedding) if self.embedding else None,
        }


def machine() -> str:
    fields = [line.split(":", 1) for line in Path("/proc/cpuinfo").read_text().splitlines() if ":" in line]
    models = [value.strip() for name, value in fields if name.strip() in ("model name", "CPU part")]
    flags = next((value.split() for name, value in fields if name.strip() in ("flags", "Features")), [])
    known = ("avx2", "avx_vnni", "avx512_vnni", "avx512_bf16", "amx_int8", "asimddp")
    system = next((line.split("=", 1)[1].strip('"') for line in Path("/etc/os-release").read_text().splitlines()
                   if line.startswith("PRETTY_NAME=")), "Linux")
    extensions = " ".join(flag for flag in known if flag in flags)
    return f"{models[0] if models else 'unknown'} ({extensions}), {len(models)} cores, {system}"


def counted(threads: int) -> str:
    return f"{threads} thread{'s' if threads > 1 else ''}"


def best_and_median(values: list[float]) -> str:
    return f"{charts.short(max(values))} / {charts.short(statistics.median(values))}"


def table(header: list[str], rows: list[list[str]]) -> list[str]:
    return ["| " + " | ".join(header) + " |", "|" + "---|" * len(header), *("| " + " | ".join(row) + " |" for row in rows), ""]


def ratio(row: dict[str, list[float]], against: dict[str, list[float]]) -> str:
    """Tusk's by the fastest peer's, best by best and median by median."""
    others = [values for engine, values in against.items() if engine not in ("tusk", "torch-float32")]
    if not others or "tusk" not in row:
        return ""
    best = max(row["tusk"]) / max(max(values) for values in others)
    median = statistics.median(row["tusk"]) / max(statistics.median(values) for values in others)
    return f"{best:.2f} / {median:.2f}"


def speed_table(results: Results, threads: int) -> list[str]:
    speeds = results.samples[threads].speeds
    header = [f"{counted(threads)}, tokens/s", *(NAMES[engine] for engine in results.engines), "Tusk by the fastest int8 peer"]
    rows = []
    for key, label in ROWS.items():
        row = speeds.get(key, {})
        cells = [best_and_median(row[engine]) if row.get(engine) else "" for engine in results.engines]
        # Peers have one model for all: a batch of different tasks is compared with their batch of one task.
        rows.append([label, *cells, ratio(row, speeds.get("decode 8", {}) if key == "decode 8 tasks" else row)])
    return table(header, rows)


def attention_multiply_adds(size: str, tokens: int) -> int:
    """Of an encoder without its products: every token's scores with every token, and their sums, in every layer."""
    _, _, heads, width, layers = SIZES[size]
    return 2 * layers * heads * width * tokens**2


def limits(results: Results, threads: int) -> list[str]:
    """What the machine could do in the same run, and Tusk's share of it."""
    samples = results.samples[threads]
    every = [bench for benches in samples.benches.values() for bench in benches]

    def measured(key: str) -> str:
        values = [bench[key] for bench in every if bench.get(key)]
        return best_and_median(values) if values else "not measured"

    def share(row: str, of: str, by: str, factor: float = 1) -> str:
        limits = [bench[by] for bench in every if bench.get(by)]
        reached = [bench[of] for bench in samples.benches[row]]
        if not limits:
            return "not measured"
        best, median = max(reached) / max(limits), statistics.median(reached) / statistics.median(limits)
        return f"{100 * factor * best:.0f} % / {100 * factor * median:.0f} %"

    def with_attention(row: str, tokens: int) -> float:
        """What attention's own multiply-adds make of the products'."""
        bench = samples.benches[row][0]
        products = 1e9 * tokens * bench["encode_gmac_per_second"] / bench["encode_tokens_per_second"]
        return 1 + attention_multiply_adds(results.size, tokens) / products

    def over(row: str, base: str) -> str:
        pairs = [b / a - 1 for a, b in zip(samples.speeds[row]["tusk"], samples.speeds[base]["tusk"])]
        return f"{100 * statistics.median(pairs):+.1f} %"

    rate = "machine_avx2_int8_gmac_per_second" if every[0].get("machine_avx2_int8_gmac_per_second") else "machine_int8_gmac_per_second"
    rows = [
        ["the machine reads, GB/s", measured("machine_read_gb_per_second")],
        ["8-bit multiply-adds by AVX2, GMAC/s", measured("machine_avx2_int8_gmac_per_second")],
        [f"8-bit multiply-adds by {every[0]['isa']}, GMAC/s", measured("machine_int8_gmac_per_second")],
        ["Tusk's decode, batch 1: share of reading", share("decode 1", "decode_gb_per_second", "machine_read_gb_per_second")],
        ["Tusk's encode of 128 tokens: share of the multiply-adds by AVX2", share("decode 1", "encode_gmac_per_second", rate)],
        ["Tusk's encode of 512 tokens: the same", share("encode 512", "encode_gmac_per_second", rate)],
        ["the same two with attention's own multiply-adds, which are float32",
         ", ".join(share(row, "encode_gmac_per_second", rate, with_attention(row, tokens))
                   for row, tokens in (("decode 1", 128), ("encode 512", 512)))],
        ["a mounted task adds to decoding, to encoding", f"{over('decode 1', 'decode 1 bare')}, {over('encode 128', 'encode 128 bare')}"],
        ["eight different tasks add to a batch of one task", over("decode 8 tasks", "decode 8")],
        ["switching to another task", f"{statistics.median(b['task_switch_microseconds'] for b in samples.benches['decode 1']):.1f} us"],
        ["hash of Tusk's last logits, batch 1", samples.benches["decode 1"][-1]["logits_hash"]],
    ]
    return table([f"{counted(threads)}: limits and shares, best / median", ""], rows)


def memory_table(results: Results) -> list[str]:
    header = ["1 thread", *(NAMES[engine] for engine in results.engines)]
    lengths = sorted({length for sizes in results.memory.values() for length in sizes})

    def row(label: str, length: int, key: str, scale: float, form: str) -> list[str]:
        values = [results.memory.get(engine, {}).get(length, {}).get(key) for engine in results.engines]
        return [label, *(format(value / scale, form) if value is not None else "" for value in values)]

    rows = [row(f"private memory, source {length}, {results.tokens} tokens, MB", length, "private", 1e6, ".1f") for length in lengths]
    rows.append(row("of which before the engine is loaded", lengths[0], "bare", 1e6, ".1f"))
    rows.append(row("load, s", lengths[0], "load", 1, ".4f"))
    return table(header, rows)


def error_table(results: Results) -> list[str]:
    present = [engine for engine in results.engines if engine in results.errors]
    return table(["int8 against float32 torch", *(NAMES[engine] for engine in present)], [
        ["relative RMS error of logits", *(f"{100 * results.errors[engine]['error']:.2f} %" for engine in present)],
        ["tokens chosen as float32 torch does",
         *(f"{results.errors[engine]['same']:.0f} of {results.errors[engine]['of']:.0f}" for engine in present)],
    ])


def embedding_table(embedding: sentences.Results) -> list[str]:
    speeds = embedding.speeds
    header = [f"all-MiniLM-L6-v2 int8, {embedding.label}, {counted(embedding.threads)}", *(NAMES[engine] for engine in speeds)]
    rows = [["texts/s, tokenizing included", *(best_and_median(values) for values in speeds.values()), ratio(speeds, speeds)],
            ["mean cosine with float32", *(f"{embedding.cosines[engine]:.4f}" for engine in embedding.cosines), ""]]
    return table([*header, "Tusk by the fastest int8 peer"], rows)


def page(results: Results, chart: str | None) -> str:
    lines = [
        f"# Tusk beside its peers: {results.size}", "",
        f"`{results.command}` wrote this page. {machine()}; load average before the run {results.load:.1f}, 0 being an idle machine.", "",
        f"Random weights of {results.size} shapes, all engines fed the same ids; int8 weights, except torch float32 where it is "
        f"shown. Speeds are the best / the median of {results.rounds} rounds, in each of which every engine does every job "
        f"once. Decoding: {results.tokens} tokens, source of 128. Encoding goes as far as the first token may be decoded, "
        "the keys and values of cross-attention included. Tusk runs with a Compacter task mounted, its peers without any.", "",
    ]
    if chart:
        lines += [f"![tokens per second of each engine]({chart})", ""]
    for threads in results.samples:
        lines += speed_table(results, threads) + limits(results, threads)
    if results.embedding:
        lines += embedding_table(results.embedding)
        lines += ["Tusk's time is that of a whole process, several texts in a pass; the peers' leaves loading out, in batches of "
                  "texts of one length.", ""]
    if results.memory:
        lines += [f"Private memory is that in no file: RssAnon, its peak over a fresh process. The peers' includes Python; "
                  f"Tusk's is of a process that holds the engine only.", "", *memory_table(results)]
    if results.errors:
        lines += error_table(results)
    return "\n".join(lines)


def chart(results: Results) -> str:
    names = [NAMES[engine] for engine in results.engines]
    columns = []
    for threads, samples in results.samples.items():
        groups = []
        for key, label in ROWS.items():
            row = samples.speeds.get(key, {})
            groups.append(charts.Bars(label, [max(row[e]) if row.get(e) else None for e in results.engines]))
        columns.append((counted(threads), groups))
    subtitle = f"{machine()}; the best of {results.rounds} rounds"
    return charts.bar_chart(f"{results.size} int8, tokens per second", subtitle, names, columns)
