"""Names and settings as tensors, so that a method can keep them in a buffer."""

from __future__ import annotations

import json
from typing import Any

import torch
from torch import Tensor


def json_tensor(value: Any) -> Tensor:
    """Return JSON types as a tensor of bytes `(B,)` uint8.

    A method keeps it with `register_buffer`, since only parameters and buffers are stored.

    Examples
    --------
    >>> from_json_tensor(json_tensor(["domain1", "target"]))
    ['domain1', 'target']
    """
    return torch.tensor(list(json.dumps(value).encode()), dtype=torch.uint8)


def from_json_tensor(tensor: Tensor) -> Any:
    """Return the value of a tensor that `json_tensor` made."""
    return json.loads(bytes(tensor.tolist()))
