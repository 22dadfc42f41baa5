import pytest
import torch


@pytest.fixture(scope='session', autouse=True)
def one_thread():
    """Small convolutions on several threads wait for each other, on a busy machine for minutes."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
