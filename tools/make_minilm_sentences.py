#!/usr/bin/env python3
"""Record what PyTorch answers to the sentences of tools/demo/minilm-sentences.

Runs all-MiniLM-L6-v2 with each task of tools/demo/minilm-tasks in the `adapters` library, one text at a time in float32, and
writes the head's logits into each line as "pytorch". Needs torch, transformers 4.57.6 and adapters 1.3.0.

example: .venv/bin/python tools/make_minilm_sentences.py
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from fetch_minilm import fetch

PACKAGE = Path(__file__).resolve().parent.parent
DEMO = PACKAGE / "tools" / "demo"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cache", type=Path, default=PACKAGE / ".build" / "minilm", help="where the checkpoint is kept")
    arguments = parser.parse_args()
    import torch
    from adapters import AutoAdapterModel
    from transformers import AutoTokenizer

    checkpoint = fetch(arguments.cache, None)
    tokenizer = AutoTokenizer.from_pretrained(checkpoint)
    for path in sorted((DEMO / "minilm-sentences").glob("*.jsonl")):
        model = AutoAdapterModel.from_pretrained(checkpoint)
        name = model.load_adapter(str(DEMO / "minilm-tasks" / path.stem), with_head=True)
        model.set_active_adapters(name)
        model.active_head = name
        model.eval()
        lines = []
        for line in path.read_text("utf-8").splitlines():
            row = json.loads(line)
            texts = [row["text"]] + ([row["text2"]] if "text2" in row else [])
            with torch.no_grad():
                logits = model(**tokenizer(*texts, return_tensors="pt")).logits[0]
            row["pytorch"] = [round(float(value), 5) for value in logits]
            lines.append(json.dumps(row, ensure_ascii=False) + "\n")
        path.write_text("".join(lines), "utf-8")


if __name__ == "__main__":
    main()
