"""A lack of memory becomes one sentence; other errors stay what they are."""

import pytest
import torch

from napari_cxr.inference.allocator import keep_freed_memory
from napari_cxr.training import Recipe, TrainingError
from napari_cxr.training.memory import fitting

RECIPE = Recipe('some', 'resnet10', batch=64)


@pytest.mark.parametrize(
    'error',
    [
        MemoryError(),
        torch.OutOfMemoryError('CUDA out of memory.'),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: 8 bytes"),
        RuntimeError('CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`'),
    ],
)
def test_a_lack_of_memory_names_batch_and_size(error):
    with (
        pytest.raises(TrainingError, match=r'A batch of 64 images of 224 x 224 .* smaller batch'),
        fitting(RECIPE, torch.device('cpu')),
    ):
        raise error


def test_what_torch_really_says_is_known():
    with pytest.raises(TrainingError, match='does not fit'), fitting(RECIPE, torch.device('cpu')):
        torch.empty(1 << 60, dtype=torch.uint8)


def test_other_errors_pass():
    with pytest.raises(RuntimeError, match='shapes'), fitting(RECIPE, torch.device('cpu')):
        raise RuntimeError('shapes cannot be multiplied')


def test_elsewhere_than_on_linux_nothing_is_asked_of_the_allocator(monkeypatch):
    monkeypatch.setattr('sys.platform', 'win32')
    assert keep_freed_memory() is False
