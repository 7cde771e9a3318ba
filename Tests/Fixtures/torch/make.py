#!/usr/bin/env python3
"""Write the torch files of this folder, and beside them the same tensors as safetensors: torch 2.13.0, safetensors 0.8.0.

views.bin      tensors that are no plain row-major float32, in an OrderedDict with a module's metadata
nested.bin     a state dict under "state_dict", as training programs keep it
legacy.bin     the format before PyTorch 1.6, which is refused
"""

from collections import OrderedDict
from pathlib import Path

import safetensors.torch
import torch

folder = Path(__file__).resolve().parent
torch.manual_seed(0)
base = torch.randn(6, 10)
cube = torch.randn(3, 4, 5)
views = OrderedDict(
    row_major=base,
    again=base,
    transposed=base.t(),
    columns=base[:, 2:5],
    every_second=base[::2],
    every_third_column=base[:, ::3],
    permuted=cube.permute(2, 0, 1),
    one_row=base[3:4],
    scalar=torch.tensor(2.5),
    empty=torch.zeros(0, 3),
    half=torch.tensor([1.0, -2.0, 65504.0, 6e-8, 1e-5, float("inf"), float("nan")], dtype=torch.float16),
    brain=torch.randn(7).to(torch.bfloat16),
    double=torch.randn(5, dtype=torch.float64),
    ids=torch.arange(4),
    mask=torch.tensor([True, False]),
    parameter=torch.nn.Parameter(torch.randn(3)),
)
views._metadata = OrderedDict({"": {"version": 1}})
torch.save(views, folder / "views.bin")
torch.save({"state_dict": {"w": torch.ones(2)}, "epoch": 3, "loss": 0.5}, folder / "nested.bin")
torch.save({"w": torch.ones(2)}, folder / "legacy.bin", _use_new_zipfile_serialization=False)
plain = {name: tensor.detach().clone().contiguous() for name, tensor in views.items()}
safetensors.torch.save_file(plain, folder / "views.safetensors")
