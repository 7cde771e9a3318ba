"""Trains with PyTorch and the `adapters` library in float32, once. Run by tools/compare --train in the peers' environment.

  training_worker.py '{"job": "steps", ...}'    T5 on given ids, a step after the other
  training_worker.py '{"job": "task", ...}'     an encoder on labelled texts, an evaluation after each epoch, the best kept;
                                                with "groups" texts of like length come together

Appends a line to `log` for each step and evaluation, with the names of `tusk train --log`. Standard output gets one JSON
object at the end; what libraries print goes to standard error.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

import adapters
import torch

# Of the library, for each of Tusk's methods in the dialect adapterhub.
CONFIGURATIONS = {"adapter": "double_seq_bn", "compacter": "compacter", "compacter++": "compacter++"}
CLIP_NORM = 1.0
# Batches whose texts are sorted by length among themselves, as `transformers` does it for group_by_length.
GROUP_BATCHES = 50


class Optimizer:
    """AdamW without decay, gradients bounded, the rate falling linearly to 0: the defaults of `tusk train`."""

    def __init__(self, model: torch.nn.Module, rate: float, steps: int, log: TextIO) -> None:
        self.parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
        self.adam = torch.optim.AdamW(self.parameters, lr=rate, weight_decay=0.0)
        self.rate = torch.optim.lr_scheduler.LambdaLR(self.adam, lambda step: max(0, steps - step) / steps)
        self.log = log

    def step(self, model: torch.nn.Module, batch: dict[str, torch.Tensor]) -> None:
        begin = time.perf_counter()
        loss = model(**batch).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.parameters, CLIP_NORM)
        self.adam.step()
        self.rate.step()
        self.adam.zero_grad()
        write(self.log, event="step", loss=loss.item(), ms=1000 * (time.perf_counter() - begin))


def write(log: TextIO, **values: Any) -> None:
    print(json.dumps(values), file=log, flush=True)


def trained(model: torch.nn.Module, part: str = "") -> int:
    return sum(parameter.numel() for name, parameter in model.named_parameters() if parameter.requires_grad and part in name)


def train_steps(job: dict[str, Any], log: TextIO) -> dict[str, Any]:
    from transformers import T5ForConditionalGeneration
    model = T5ForConditionalGeneration.from_pretrained(job["checkpoint"], dtype=torch.float32)
    if job["method"] != "full":
        adapters.init(model)
        model.add_adapter("task", config=CONFIGURATIONS[job["method"]])
        model.train_adapter("task")
    model.train()
    examples = json.loads(Path(job["ids"]).read_text())
    size = job["batch"]
    optimizer = Optimizer(model, job["rate"], len(examples) // size, log)
    for start in range(0, len(examples), size):
        source, target = (torch.tensor(side) for side in zip(*examples[start:start + size]))
        optimizer.step(model, {"input_ids": source, "attention_mask": torch.ones_like(source), "labels": target,
                               "use_cache": False})
    return {"trained_parameters": trained(model)}


class Sentences:
    """Texts as ids, put together in batches that are padded to their longest."""

    def __init__(self, path: Path, checkpoint: Path) -> None:
        from tokenizers import Tokenizer
        tokenizer = Tokenizer.from_file(str(checkpoint / "tokenizer.json"))
        tokenizer.no_padding()
        tokenizer.enable_truncation(128)
        rows = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
        self.ids = [torch.tensor(encoding.ids) for encoding in tokenizer.encode_batch([row["text"] for row in rows])]
        self.labels = torch.tensor([int(row["label"]) for row in rows])

    def batches(self, order: list[int], size: int) -> Iterator[dict[str, torch.Tensor]]:
        for start in range(0, len(order), size):
            numbers = order[start:start + size]
            ids = [self.ids[number] for number in numbers]
            mask = [torch.ones_like(row) for row in ids]
            pad = torch.nn.utils.rnn.pad_sequence
            yield {"input_ids": pad(ids, batch_first=True), "attention_mask": pad(mask, batch_first=True),
                   "labels": self.labels[numbers]}

    def shuffled(self, size: int, groups: bool) -> list[int]:
        order = torch.randperm(len(self.ids)).tolist()
        if not groups:
            return order
        parts = [sorted(order[start:start + size * GROUP_BATCHES], key=lambda number: len(self.ids[number]), reverse=True)
                 for start in range(0, len(order), size * GROUP_BATCHES)]
        batches = [part[start:start + size] for part in parts for start in range(0, len(part), size)]
        return [number for place in torch.randperm(len(batches)).tolist() for number in batches[place]]

    def accuracy(self, model: torch.nn.Module, size: int) -> float:
        order = sorted(range(len(self.ids)), key=lambda number: len(self.ids[number]))
        right = 0
        model.eval()
        with torch.inference_mode():
            for batch in self.batches(order, size):
                labels = batch.pop("labels")
                right += int((model(**batch).logits.argmax(-1) == labels).sum())
        model.train()
        return right / len(order)


def train_task(job: dict[str, Any], log: TextIO) -> dict[str, Any]:
    torch.manual_seed(job["seed"])
    model = adapters.BertAdapterModel.from_pretrained(job["checkpoint"], dtype=torch.float32)
    model.add_adapter("task", config=CONFIGURATIONS[job["method"]])
    model.add_classification_head("task", num_labels=2, layers=2)
    model.train_adapter("task")
    model.train()
    folder, size = Path(job["folder"]), job["batch"]
    training, validation = (Sentences(folder / f"{split}.jsonl", Path(job["checkpoint"])) for split in ("train", "validation"))
    count = len(training.ids)
    optimizer = Optimizer(model, job["rate"], job["epochs"] * -(-count // size), log)
    best = 0.0
    for epoch in range(1, job["epochs"] + 1):
        for batch in training.batches(training.shuffled(size, job["groups"]), size):
            optimizer.step(model, batch)
        begin = time.perf_counter()
        accuracy = validation.accuracy(model, size)
        best = max(best, accuracy)
        write(log, event="evaluation", epoch=epoch, metrics={"accuracy": accuracy}, ms=1000 * (time.perf_counter() - begin))
    heads = trained(model, "heads.")
    return {"trained_parameters": trained(model) - heads, "head_parameters": heads, "metrics": {"accuracy": best}}


def main() -> None:
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    job = json.loads(sys.argv[1])
    torch.set_num_threads(job["threads"])
    with open(job["log"], "w") as log:
        summary = {"steps": train_steps, "task": train_task}[job["job"]](job, log)
    print(json.dumps(summary), file=answers, flush=True)


if __name__ == "__main__":
    main()
