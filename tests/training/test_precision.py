"""In which precision a forward pass is computed."""

from dataclasses import replace

import pytest
import torch

from napari_cxr import networks
from napari_cxr.training import Started, index, train
from napari_cxr.training.precision import precision_of

CPU = torch.device('cpu')


def test_auto_takes_what_the_processor_computes(monkeypatch):
    assert precision_of('float32', CPU) is None
    assert precision_of('bfloat16', CPU) is torch.bfloat16
    for able in (True, False):
        monkeypatch.setattr(torch.cpu, 'get_capabilities', lambda able=able: {'amx_bf16': able})
        assert precision_of('auto', CPU) is (torch.bfloat16 if able else None)


@pytest.mark.parametrize('precision', ['float32', 'bfloat16'])
def test_it_is_that_of_learning_and_never_of_measuring(
    folder, recipe, tmp_path, monkeypatch, precision
):
    seen = set()
    plain = networks.StagedNetwork._run

    def watched(network, *given):
        seen.add((torch.is_grad_enabled(), torch.is_autocast_enabled('cpu')))
        return plain(network, *given)

    monkeypatch.setattr(networks.StagedNetwork, '_run', watched)
    recipe = replace(recipe, precision=precision, epochs=1)
    events = list(train(index(folder), recipe, tmp_path / 'out', 'cpu'))
    (started,) = (event for event in events if isinstance(event, Started))
    assert started.precision == precision
    assert seen == {(True, precision == 'bfloat16'), (False, False)}
