import numpy as np
import pytest
import torch
import torch.nn.functional as F

from napari_cxr.lungs.lung_network import unet_forward

WIDTHS = (4, 6, 9)


def random_weights(rng):
    """Weights of a U-Net of three levels, which torch reads as they are."""
    tensors = {}

    def block(name, channels, width):
        for number, fan in ((0, channels), (1, width)):
            kernels = rng.normal(0, (2 / (9 * fan)) ** 0.5, (width, fan, 3, 3))
            tensors[f'{name}.{number}.weight'] = kernels.astype(np.float32)
            tensors[f'{name}.{number}.bias'] = rng.normal(0, 0.3, width).astype(np.float32)

    for level, (channels, width) in enumerate(zip((1, *WIDTHS[:-1]), WIDTHS, strict=True)):
        block(f'down.{level}', channels, width)
    for level, (deep, flat) in enumerate(((9, 6), (6, 4))):
        block(f'up.{level}', deep + flat, flat)
    tensors['out.weight'] = rng.normal(0, 1, (3, 4)).astype(np.float32)
    tensors['out.bias'] = rng.normal(0, 1, 3).astype(np.float32)
    return tensors


def in_torch(tensors, image):
    t = {name: torch.from_numpy(tensor) for name, tensor in tensors.items()}

    def block(name, x):
        for number in (0, 1):
            kernels, bias = t[f'{name}.{number}.weight'], t[f'{name}.{number}.bias']
            x = F.relu(F.conv2d(x, kernels, bias, padding=1))
        return x

    first = block('down.0', (torch.from_numpy(image)[None, None] - 0.5) / 0.25)
    second = block('down.1', F.max_pool2d(first, 2))
    x = block('down.2', F.max_pool2d(second, 2))
    for name, beside in (('up.0', second), ('up.1', first)):
        x = F.interpolate(x, scale_factor=2, mode='bilinear', align_corners=False)
        x = block(name, torch.cat([x, beside], dim=1))
    return F.conv2d(x, t['out.weight'][:, :, None, None], t['out.bias'])[0].numpy()


@pytest.mark.parametrize('shape', [(48, 32), (4, 4), (20, 64)])
def test_it_computes_what_torch_computes(shape):
    rng = np.random.default_rng(3)
    tensors, image = random_weights(rng), rng.random(shape, dtype=np.float32)
    expected = in_torch(tensors, image)
    assert expected.std() > 0.3
    found = unet_forward(tensors, image)
    assert found.dtype == np.float32 and found.shape == (3, *shape)
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_an_image_that_cannot_be_halved_is_refused():
    tensors = random_weights(np.random.default_rng(0))
    with pytest.raises(ValueError, match='multiples of 4'):
        unet_forward(tensors, np.zeros((16, 18), np.float32))
