#!/usr/bin/env python3
"""Print the table "What it costs" of the README, measured on this machine.

Makes a random T5-base checkpoint and Compacter tasks (0.9 GB in a temporary folder, removed afterwards), converts them,
and asks `tusk footprint`, `tusk bench` and `tusk inspect`. Takes about a minute.

  tools/cost_table.py
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path

from processes import run

ROOT = Path(__file__).resolve().parent.parent


def machine() -> str:
    lines = [line.split(":", 1)[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines()
             if line.startswith("model name")]
    return f"{lines[0]}, {len(lines)} cores"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tusk", type=Path, default=ROOT / ".build/release/tusk")
    parser.add_argument("--nano", type=Path, default=ROOT / ".build-embedded/release/tusk-nano",
                        help="the engine that memory is measured in; tools/quickstart builds it")
    parser.add_argument("--tasks", type=int, default=100)
    options = parser.parse_args()
    tusk = options.tusk

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        maker = ROOT / "tools/make_checkpoint.py"
        run(maker, "t5-base", folder / "t5-base")
        run(maker, "t5-base", folder / "task", "--compacter", "adapterhub")
        run(tusk, "convert", "backbone", folder / "t5-base", "--output", folder / "t5.tusk")
        tasks = [folder / f"{number}.tusk" for number in range(options.tasks)]
        for number, task in enumerate(tasks):
            run(tusk, "convert", "task", folder / "task", "--backbone", folder / "t5.tusk", "--output", task,
                "--name", f"task-{number}")
        run(tusk, "bundle", "--output", folder / "one.tusk", folder / "t5.tusk", tasks[0])
        run(tusk, "bundle", "--output", folder / "many.tusk", folder / "t5.tusk", *tasks)
        job = ("--source-tokens", "128", "--target-tokens", "32", "--threads", "1", "--json")
        one = json.loads(run(tusk, "footprint", folder / "one.tusk", "--engine", options.nano, *job))
        many = json.loads(run(tusk, "footprint", folder / "many.tusk", "--engine", options.nano, *job))
        bench = json.loads(run(tusk, "bench", folder / "one.tusk", "--task", "task-0", *job))
        task = json.loads(run(tusk, "inspect", tasks[0], "--json"))["tasks"][0]

    print(f"T5-base shapes (random weights), int8, 128 source tokens, 32 target tokens, 1 thread; {machine()}, {bench['isa']}.\n")
    rows = [
        ("private memory of a process that runs a task", f"{one['measured']['private'] / 1e6:.1f} MB"),
        (f"the same with {options.tasks} tasks ready", f"{many['measured']['private'] / 1e6:.1f} MB"),
        ("model file, mapped and shared by all processes", f"{one['planned']['mapped_backbone'] / 1e6:.1f} MB"),
        ("bytes per further task (Compacter, 48 adapters)", f"{task['bytes']:,}"),
        ("switching to another task", f"{bench['task_switch_microseconds']:.1f} us"),
        ("opening the model until the first token may start", f"{bench['load_ms']:.1f} ms"),
        ("encoding", f"{bench['encode_tokens_per_second']:.0f} tokens/s"),
        ("decoding", f"{bench['decode_tokens_per_second']:.0f} tokens/s: {bench['decode_gb_per_second']:.1f} of the "
                     f"{bench['machine_read_gb_per_second']:.1f} GB/s that the machine reads"),
    ]
    print("| | |\n|---|---|")
    for label, value in rows:
        print(f"| {label} | {value} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
