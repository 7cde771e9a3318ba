"""Loads exported directories in PyTorch and writes what the models answer; started by check_export.py in an environment
with the libraries.

  export_worker.py JOBS.json ANSWERS.npz

Each of the jobs: `format`, `directory`, `checkpoint`, `model` (which class loads it), `input_ids` and
`decoder_input_ids` or `token_type_ids`, a row for each source. Of job J and source N the answers are `J.N.output`, the
encoder's or the last block's output, and `J.N.logits`, if the model has a head; or `J.failure`, a text.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np

os.environ["HF_HUB_OFFLINE"] = "1"


def answers(model: Any, job: dict[str, Any]) -> list[tuple[Any, Any]]:
    """Each source alone and without padding, which `adapters` would let into prompts, prefixes and gates."""
    import torch
    name = type(model.get_base_model() if hasattr(model, "get_base_model") else model).__name__.lower()
    found = []
    for index in range(len(job["input_ids"])):
        arguments = {key: torch.tensor([job[key][index]]) for key in ("input_ids", "decoder_input_ids", "token_type_ids")
                     if key in job and not (key == "token_type_ids" and "distilbert" in name)}
        arguments["attention_mask"] = torch.ones_like(arguments["input_ids"])
        with torch.no_grad():
            answer = model(**arguments, output_hidden_states=True, return_dict=True)
        output = answer.encoder_last_hidden_state if "decoder_input_ids" in job else answer.hidden_states[-1]
        found.append((output[0].numpy(), answer.logits[0].numpy() if "logits" in answer else None))
    return found


def main() -> None:
    warnings.filterwarnings("ignore")
    import torch
    import transformers
    from export_models import LOADERS
    transformers.logging.set_verbosity_error()
    torch.set_num_threads(1)
    # What a fresh model draws at random must not hide what was not loaded.
    torch.manual_seed(1)
    logging.disable(logging.WARNING)
    arrays: dict[str, Any] = {}
    for number, job in enumerate(json.loads(Path(sys.argv[1]).read_text())):
        try:
            model = LOADERS[job["format"]](Path(job["directory"]), Path(job["checkpoint"]), job["model"]).eval()
            for source, (output, logits) in enumerate(answers(model, job)):
                arrays[f"{number}.{source}.output"] = output
                if logits is not None:
                    arrays[f"{number}.{source}.logits"] = logits
        except Exception as error:  # Whatever a library raises is the answer to this job.
            arrays[f"{number}.failure"] = np.array(f"{type(error).__name__}: {error}"[:400])
    np.savez(sys.argv[2], **arrays)


if __name__ == "__main__":
    main()
