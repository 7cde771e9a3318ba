"""ONNX graphs, node by node."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from onnx import TensorProto, helper, numpy_helper

OPSET = 17


@dataclass
class Graph:
    """`weights`: "float32", or "int8" for codes with a scale per output that stand before a DequantizeLinear."""

    weights: str
    nodes: list[Any] = field(default_factory=list)
    initializers: dict[str, Any] = field(default_factory=dict)
    count: int = 0

    def op(self, kind: str, *inputs: str, output: str | None = None, **attributes: Any) -> str:
        self.count += 1
        name = output or f"{kind.lower()}_{self.count}"
        self.nodes.append(helper.make_node(kind, list(inputs), [name], name=f"node_{self.count}", **attributes))
        return name

    def constant(self, name: str, values: np.ndarray) -> str:
        if name not in self.initializers:
            self.initializers[name] = numpy_helper.from_array(np.ascontiguousarray(values), name)
        return name

    def numbers(self, *values: int) -> str:
        return self.constant("n_" + "_".join(map(str, values)), np.array(values, np.int64))

    def scalar(self, value: float) -> str:
        return self.constant(f"f_{value!r}", np.array(value, np.float32))

    def linear(self, x: str, name: str, matrix: np.ndarray) -> str:
        """x @ matrix^T; matrix [out, in]"""
        if self.weights == "float32":
            return self.op("MatMul", x, self.constant(f"{name}.transposed", matrix.T))
        return self.op("MatMul", x, self.op("Transpose", self.dequantized(name, matrix), perm=[1, 0]))

    def dequantized(self, name: str, matrix: np.ndarray) -> str:
        scales = np.abs(matrix).max(axis=1) / 127
        codes = np.rint(matrix / np.maximum(scales, 1e-30)[:, None]).astype(np.int8)
        return self.op("DequantizeLinear", self.constant(f"{name}.codes", codes),
                       self.constant(f"{name}.scales", scales.astype(np.float32)), axis=0)

    def norm(self, x: str, name: str, weight: np.ndarray, epsilon: float) -> str:
        mean = self.op("ReduceMean", self.op("Pow", x, self.scalar(2.0)), axes=[-1], keepdims=1)
        root = self.op("Sqrt", self.op("Add", mean, self.scalar(epsilon)))
        return self.op("Mul", self.op("Div", x, root), self.constant(name, weight))

    def affine(self, x: str, name: str, tensors: dict[str, np.ndarray]) -> str:
        """x @ weight^T + bias"""
        product = self.linear(x, f"{name}.weight", tensors[f"{name}.weight"])
        return self.op("Add", product, self.constant(f"{name}.bias", tensors[f"{name}.bias"]))

    def heads(self, x: str, heads: int, width: int, order: tuple[int, ...]) -> str:
        """[B, S, H K] to [B, S, H, K] in another order"""
        return self.op("Transpose", self.op("Reshape", x, self.numbers(0, 0, heads, width)), perm=list(order))

    def embedding(self, ids: str, name: str, matrix: np.ndarray) -> str:
        table = self.constant(name, matrix) if self.weights == "float32" else self.dequantized(name, matrix)
        return self.op("Gather", table, ids)

    def model(self, name: str, inputs: list[Any], outputs: list[Any]) -> Any:
        graph = helper.make_graph(self.nodes, name, inputs, outputs, list(self.initializers.values()))
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=9)


def value(name: str, shape: list[int | str]) -> Any:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)


def ids_value(tokens: int | str) -> Any:
    return helper.make_tensor_value_info("ids", TensorProto.INT64, ["B", tokens])
