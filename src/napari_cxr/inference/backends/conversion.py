"""From a network in torch to its exported graph, see `ExportedGraph`."""

from __future__ import annotations

import io
import warnings

import torch
from torch import Tensor, nn
from torch.nn import functional

from napari_cxr.explain.heatmap import cell_to_input
from napari_cxr.inference.backends.exported_network import (
    INPUT_NAME,
    WEIGHT_PREFIX,
    ExportedGraph,
)
from napari_cxr.networks import StagedNetwork
from napari_cxr.networks.eval_mode import evaluating

__all__ = ['export_graph', 'to_onnx']

#: Of ONNX's operations: every version of both libraries on Python 3.11 knows it.
_OPSET = 17


class _Whole(nn.Module):
    """What a graph computes: logits and maps, or what the stages return."""

    def __init__(self, network: StagedNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        network = self.network
        weights = network.closed_form()
        if weights is None:
            return network.features_up_to(network.stage_names[-1], x)
        feature_map, earlier = network.features(x)
        cells = int(feature_map.shape[2]) * int(feature_map.shape[3])
        # A linear layer at each cell: the closed form of Grad-CAM, see `explain.gradcam`.
        maps = functional.conv2d(feature_map, weights[:, :, None, None] / cells)
        return network.head(feature_map, *earlier), maps.relu()


def to_onnx(network: StagedNetwork, size: tuple[int, int]) -> bytes:
    """Convert a network.

    Parameters
    ----------
    network : StagedNetwork
        On the CPU.
    size : tuple of int
        Height and width of the input; the batch may be of any size.

    Returns
    -------
    bytes
        An ONNX model with one input. Its outputs are logits and maps where the head has a
        closed form, and else those of `features_up_to` for the last stage. Its weights have the
        names that they have in the network, after `WEIGHT_PREFIX`.
    """
    whole = _Whole(network)
    file = io.BytesIO()
    # Two images, since a batch of 1 would be taken for a constant.
    example = torch.zeros(2, network.channels, *size)
    with warnings.catch_warnings(), evaluating(whole), torch.no_grad():
        # It warns that it is the older of torch's two exporters, which it is: it takes
        # a second where the newer takes ten, and needs two packages less.
        warnings.simplefilter('ignore')
        torch.onnx.export(
            whole,
            (example,),
            file,  # type: ignore[arg-type]  # which this exporter takes, too
            dynamo=False,
            input_names=[INPUT_NAME],
            dynamic_axes={INPUT_NAME: {0: 'images'}},
            opset_version=_OPSET,
            # Weights stay what they are in the model's file; the libraries fold them later.
            training=torch.onnx.TrainingMode.PRESERVE,
            do_constant_folding=False,
        )
    return file.getvalue()


def export_graph(
    network: StagedNetwork, size: tuple[int, int], x: Tensor, sha256: str = ''
) -> ExportedGraph:
    """Convert a network, and take its weights out.

    Parameters
    ----------
    network : StagedNetwork
        On the CPU.
    size : tuple of int
        Height and width of the input.
    x : Tensor
        `check_images` as the network takes them.
    sha256 : str
        Of the model's file.

    Raises
    ------
    napari_cxr.networks.Untraceable
        If the head has a closed form, but the cells of its maps have no place.
    """
    from onnx import TensorProto, load_model_from_string

    model = load_model_from_string(to_onnx(network, size))
    own, taken = network.state_dict(), []
    for tensor in model.graph.initializer:
        name = tensor.name.removeprefix(WEIGHT_PREFIX)
        if tensor.name != name and name in own:
            taken.append(name)
            tensor.ClearField('raw_data')
            tensor.data_location = TensorProto.EXTERNAL
            tensor.external_data.add(key='location', value='model')
    closed = network.closed_form() is not None
    with torch.inference_mode():
        logits = network(x).float().numpy()
    return ExportedGraph(
        sha256=sha256,
        weights=taken,
        closed_form=closed,
        cell_to_input=cell_to_input(network.grid(*size)).tolist() if closed else [],
        logits=logits.tolist(),
        onnx=bytes(model.SerializeToString()),
    )
