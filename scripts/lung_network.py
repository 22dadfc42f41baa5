"""The network of the lung field in torch, as it is trained; it runs in numpy from the plugin."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

WIDTHS = (16, 32, 64, 96, 128)


class Block(nn.Module):
    """Two 3x3 convolutions, each with batch norm and a rectifier."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.convolutions = nn.ModuleList(
            nn.Conv2d(i, width, 3, padding=1, bias=False) for i in (channels, width)
        )
        self.norms = nn.ModuleList(nn.BatchNorm2d(width) for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        """Map (n, channels, h, w) to (n, width, h, w)."""
        for convolution, norm in zip(self.convolutions, self.norms, strict=True):
            x = F.relu(norm(convolution(x)))
        return x

    def folded(self) -> dict[str, Tensor]:
        """Return each convolution with its batch norm, in evaluation mode, folded into it."""
        tensors = {}
        for i, (convolution, norm) in enumerate(zip(self.convolutions, self.norms, strict=True)):
            factor = norm.weight.double() / (norm.running_var.double() + norm.eps).sqrt()
            tensors[f'{i}.weight'] = convolution.weight.double() * factor[:, None, None, None]
            tensors[f'{i}.bias'] = norm.bias.double() - norm.running_mean.double() * factor
        return tensors


class UNet(nn.Module):
    """A U-Net whose logits are: no lung, lung on the left of the image, on the right of it."""

    def __init__(self, widths: tuple[int, ...] = WIDTHS) -> None:
        super().__init__()
        self.down = nn.ModuleList(Block(i, o) for i, o in zip((1, *widths), widths, strict=False))
        self.up = nn.ModuleList(
            Block(deep + flat, flat)
            for deep, flat in zip(widths[:0:-1], widths[-2::-1], strict=True)
        )
        self.out = nn.Conv2d(widths[0], 3, 1)

    def forward(self, images: Tensor) -> Tensor:
        """Map images (n, 1, h, w) in [0, 1] to logits (n, 3, h, w)."""
        x, kept = (images - 0.5) / 0.25, []
        for level, block in enumerate(self.down):
            x = block(F.max_pool2d(x, 2) if level else x)
            kept.append(x)
        kept.pop()
        for block in self.up:
            x = F.interpolate(x, scale_factor=2, mode='bilinear', align_corners=False)
            x = block(torch.cat([x, kept.pop()], dim=1))
        return self.out(x)

    @torch.no_grad()
    def exported(self, kind: type = np.float32) -> dict[str, np.ndarray]:
        """Return the input of `lung_network.unet_forward`, with batch norms folded in."""
        tensors = {}
        for part in ('down', 'up'):
            for i, block in enumerate(getattr(self, part)):
                for name, tensor in block.folded().items():
                    tensors[f'{part}.{i}.{name}'] = tensor
        tensors['out.weight'] = self.out.weight[:, :, 0, 0]
        tensors['out.bias'] = self.out.bias
        # Contiguous, because a safetensors file keeps the bytes in the order of memory.
        return {k: np.ascontiguousarray(t.numpy(), dtype=kind) for k, t in tensors.items()}
