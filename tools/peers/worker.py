"""A process that holds one engine and does what lines on standard input ask: a JSON object each, answered by one.

  worker.py FOLDER ENGINE THREADS

  {"measure": TOKENS, "source": S, "batch": B}    seconds to encode and to decode
  {"error": true}                                 of the logits against float32 torch, and tokens chosen alike

The first line, before any request: seconds to load the engine, imports included, and the private memory before it.
Standard output belongs to the protocol; what libraries print goes to standard error.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import engines
import prepare
from environment import private_bytes


def main() -> None:
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    def answer(**values: Any) -> None:
        print(json.dumps(values), file=answers, flush=True)

    folder, name, threads = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    bare = private_bytes()
    begin = time.perf_counter()
    kind, weights = engines.ENGINES[name]
    engine = kind(folder, weights, threads)
    answer(load=time.perf_counter() - begin, bare=bare)
    vocabulary = prepare.configuration(folder)["vocab_size"]
    for line in sys.stdin:
        request = json.loads(line)
        if "measure" in request:
            ids = prepare.source_ids(request["source"], request["batch"], vocabulary)
            encode, decode = engine.measure(ids, request["measure"])
            answer(encode=encode, decode=decode)
        else:
            reference = prepare.Reference(folder)
            error, same = reference.judge(reference.answer(engine))
            answer(error=error, same=same, of=len(reference.targets))


if __name__ == "__main__":
    main()
