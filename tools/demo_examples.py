#!/usr/bin/env python3
"""Print sentences for training, one JSON object with `text` and `label` a line: which kind of quantity the sentence holds.

The sentences are those of the demonstration (`tools/demo/README.md`). Those with --held-out hold other values than those
without.

example: tools/demo_examples.py 600 > train.jsonl; tools/demo_examples.py 200 --held-out > validation.jsonl
"""

from __future__ import annotations

import argparse
import json
import random

from demo_data import KINDS, example


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("count", type=int, help="how many sentences")
    parser.add_argument("--held-out", action="store_true", help="of the values that are kept for testing")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    source = random.Random(arguments.seed)
    for position in range(arguments.count):
        kind = KINDS[position % len(KINDS)]
        print(json.dumps({"text": example(source, kind, arguments.held_out).text, "label": kind}))


if __name__ == "__main__":
    main()
