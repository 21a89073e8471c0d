"""Dropout with masks that are fast to draw."""

from __future__ import annotations

import torch
from torch import Tensor


def dropout(inputs: Tensor, share: float, training: bool) -> Tensor:
    """Set a share of the values to zero and scale up the others (Srivastava et al. 2014, section 4).

    torch's own dropout draws two 32-bit random numbers per value, and is six times slower on a CPU. This
    function draws 16 bits per value from torch's random state, so it rounds the share to a multiple of
    1 / 65536.

    Args:
        inputs: Values of any shape.
        share: Share to drop, in [0, 1).
        training: If False, return the inputs unchanged.
    """
    if not training or not share:
        return inputs
    return inputs * draw_mask(inputs, share)


def draw_mask(like: Tensor, share: float) -> Tensor:
    """Draw a dropout mask with the shape and type of a tensor: zeros, and 1 / (1 - share) elsewhere."""
    dropped = min(round(share * 65536), 65535)
    words = torch.empty(-(-like.numel() // 4), dtype=torch.int64, device=like.device)
    bits = words.random_(-(2**63), None).view(torch.int16)[: like.numel()]
    is_kept = bits >= dropped - 32768
    return is_kept.to(like.dtype).mul_(65536 / (65536 - dropped)).view(like.shape)
