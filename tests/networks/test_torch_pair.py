"""torch and torchvision that were not built for each other are told in a sentence."""

import pytest

from napari_cxr import networks
from napari_cxr.networks import factory
from napari_cxr.networks.torch_pair import explained_torch_pair, torch_pair_error

# As torchvision, and Python's loader, end where the two do not fit.
MISSING_OPERATOR = 'RuntimeError: operator torchvision::nms does not exist'
MISSING_SYMBOL = 'OSError: /lib/torchvision/_C.so: undefined symbol: _ZN3c104cuda9SetDeviceEi'


@pytest.mark.parametrize('error', [MISSING_OPERATOR, MISSING_SYMBOL])
def test_a_pair_that_does_not_fit_is_told_with_what_to_do(error):
    text = torch_pair_error(f'Traceback (most recent call last):\n  ...\n{error}\n')
    assert 'were not built for each other' in text
    assert 'pip install --force-reinstall torch torchvision' in text


@pytest.mark.parametrize('error', ['', 'RuntimeError: out of memory', 'no module named timm'])
def test_other_errors_are_not_taken_for_it(error):
    assert torch_pair_error(error) == ''


def test_other_errors_pass():
    with pytest.raises(RuntimeError, match='something else'), explained_torch_pair():
        raise RuntimeError('something else')


def test_a_network_that_cannot_be_built_for_it_says_so(monkeypatch):
    def broken(name, size):
        raise RuntimeError('operator torchvision::nms does not exist')

    monkeypatch.setattr(factory, 'split_library_model', broken)
    with pytest.raises(ValueError, match='not built for each other'):
        networks.create('resnet18', 2)
