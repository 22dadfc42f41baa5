"""A network's stages as ONNX (https://onnx.ai), converted once and then kept on disk."""

from __future__ import annotations

import io
import json
import warnings
from importlib.metadata import version

import torch
from torch import Tensor, nn

from napari_cxr import __version__
from napari_cxr.inference.backends.runtimes import INPUT_NAME
from napari_cxr.networks import StagedNetwork
from napari_cxr.networks.eval_mode import evaluating
from napari_cxr.user_cache import FileCache

__all__ = ['StageConversion', 'to_onnx']

#: Of ONNX's operations: every version of both libraries on Python 3.11 knows it.
_OPSET = 17
#: A ResNet-152 takes 240 MB, the bundled models 20 MB at most.
_CACHE = FileCache('onnx', limit=1 << 30)


class StageConversion:
    """The stages of a network as ONNX, from the user's cache folder if they are there.

    Parameters
    ----------
    network : StagedNetwork
        On the CPU.
    size : tuple of int
        Height and width of the input.
    sha256 : str
        Of the model's file; empty to keep nothing.
    """

    def __init__(self, network: StagedNetwork, size: tuple[int, int], sha256: str = '') -> None:
        self._network, self._size = network, size
        versions = [__version__, torch.__version__, version('onnx'), _OPSET]
        self._key = json.dumps([sha256, *size, *versions]) if sha256 else ''
        self._from_cache = False

    def onnx(self) -> bytes:
        """Return the ONNX model; conversion takes a second or more."""
        found = _CACHE.get(self._key) if self._key else None
        self._from_cache = found is not None
        if found is None:
            found = to_onnx(self._network, self._size)
            if self._key:
                _CACHE.put(self._key, found)
        return found

    def forget(self) -> bool:
        """Remove it from the folder if it came from there; tell whether it did."""
        if self._from_cache:
            _CACHE.remove(self._key)
        return self._from_cache


class _Stages(nn.Module):
    """The stages of a network without its head."""

    def __init__(self, network: StagedNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        return self.network.features_up_to(self.network.stage_names[-1], x)


def to_onnx(network: StagedNetwork, size: tuple[int, int]) -> bytes:
    """Convert the stages of a network.

    Parameters
    ----------
    network : StagedNetwork
        On the CPU.
    size : tuple of int
        Height and width of the input; the batch may be of any size.

    Returns
    -------
    bytes
        An ONNX model with one input; its outputs are those of `features_up_to`.
    """
    stages = _Stages(network)
    file = io.BytesIO()
    # Two images, since a batch of 1 would be taken for a constant.
    example = torch.zeros(2, network.channels, *size)
    with warnings.catch_warnings(), evaluating(stages), torch.no_grad():
        # It warns that it is the older of torch's two exporters, which it is: it takes
        # a second where the newer takes ten, and needs two packages less.
        warnings.simplefilter('ignore')
        torch.onnx.export(
            stages,
            (example,),
            file,  # type: ignore[arg-type]  # which this exporter takes, too
            dynamo=False,
            input_names=[INPUT_NAME],
            dynamic_axes={INPUT_NAME: {0: 'images'}},
            opset_version=_OPSET,
        )
    return file.getvalue()
