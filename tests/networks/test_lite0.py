import pytest
import torch
from torch import nn

from napari_cxr import networks
from napari_cxr.explain.gradcam import grad_cam
from napari_cxr.networks.lite0 import FlipAveraged, lite0_stages


@pytest.fixture(scope='module')
def stages():
    torch.manual_seed(0)
    stages = nn.Sequential(lite0_stages(3))
    with torch.no_grad():
        for module in stages.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.running_mean.normal_(std=0.1)
                module.running_var.uniform_(0.5, 2)
    return stages.eval()


@pytest.mark.parametrize('size', [(224, 224), (97, 130)])
def test_it_answers_as_the_same_stages_of_timm(stages, size):
    import timm

    theirs = timm.create_model('tf_efficientnet_lite0', pretrained=False)
    block = theirs.blocks[5][0]
    cut = nn.Sequential(
        theirs.conv_stem, theirs.bn1, *theirs.blocks[:5], block.conv_pw, block.bn1
    ).eval()
    values = stages.state_dict().values()
    cut.load_state_dict(dict(zip(cut.state_dict(), values, strict=True)))
    x = torch.rand(2, 3, *size)
    with torch.no_grad():
        expected, found = cut(x), stages(x)
    assert expected.std() > 0.01
    torch.testing.assert_close(found, expected)


def test_image_and_mirror_image_answer_alike():
    torch.manual_seed(0)
    network = networks.create('lite0_stride16_flip', 1, 1, (64, 96)).eval()
    x = torch.rand(2, 1, 64, 96)
    with torch.no_grad():
        map_, _ = network.features(x)
        turned, _ = network.features(x.flip(-1))
        torch.testing.assert_close(turned.flip(-1), map_)
        torch.testing.assert_close(network(x.flip(-1)), network(x))
        # The mean of both images' own logits.
        inner = network.stages['both_ways'].inner
        each = [network.head(inner(view)) for view in (x, x.flip(-1))]
    torch.testing.assert_close(network(x), sum(each) / 2)


def test_its_cells_lie_symmetrically():
    network = networks.create('lite0_stride16_flip', 1, 1, (224, 224))
    grid = network.grid(224, 224)
    assert (grid.cells, grid.jump) == ((14, 14), (16, 16))
    first, last = grid.start[1], grid.start[1] + 13 * 16
    assert first + last == 223
    # Padding puts the odd pixel below, and nothing turns rows round.
    assert grid.start[0] == 15


def test_a_map_is_the_closed_form_of_the_averaged_map():
    torch.manual_seed(0)
    network = networks.create('lite0_stride16_flip', 1, 1, (64, 64)).eval()
    x = torch.rand(1, 1, 64, 64)
    _, maps = grad_cam(network, x)
    with torch.no_grad():
        features, _ = network.features(x)
    weights = network.closed_form()
    expected = torch.einsum('c,chw->hw', weights[0], features[0]).relu() / features[0, 0].numel()
    torch.testing.assert_close(maps[0, 0], expected)


def test_it_refuses_what_is_too_small():
    with pytest.raises(ValueError, match='32 pixels'):
        networks.create('lite0_stride16_flip', 1, 1, (16, 64))


def test_a_map_that_stays_mirrored_has_no_place():
    class Mirrored(nn.Module):
        def forward(self, x):
            return x.flip(-1)

    network = networks.StagedNetwork(
        {'conv': nn.Conv2d(1, 2, 3), 'mirror': Mirrored()}, nn.Flatten(), classes=2, channels=1
    )
    with pytest.raises(networks.Untraceable, match='mirrored'):
        network.grid(16, 16)


def test_flip_averaging_of_anything():
    module = FlipAveraged(nn.Conv2d(1, 1, (1, 2), bias=False))
    module.inner.weight.data[:] = torch.tensor([1.0, 0.0])
    # Straight it takes the left pixel of each two, turned round the right one.
    assert module(torch.tensor([[[[1.0, 2.0, 5.0]]]])).tolist() == [[[[1.5, 3.5]]]]
