"""Weights of libraries come under our names, or a sentence says why not."""

import pytest
import torch
from safetensors.torch import save_file

from napari_cxr.checkpoint import load
from napari_cxr.checkpoint.foreign.pickle_contents import ForeignFileError
from napari_cxr.checkpoint.foreign.weight_conversion import WeightsMeaning, check_labels, convert

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
LABELS = ('covid', 'normal', 'other')


@pytest.fixture(scope='module')
def mobilenet():
    """A MobileNetV3 of torchvision with three outputs, and what it says of random images."""
    from torchvision.models import mobilenet_v3_large

    torch.manual_seed(1)
    return lively(mobilenet_v3_large(num_classes=3))


def lively(network):
    x = torch.randn(4, 3, 64, 64)
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.momentum = None
        network.train()(x)
    return network.eval()


def meaning(architecture='mobilenet_v3_large', labels=LABELS, **other):
    return WeightsMeaning(architecture, labels, MEAN, STD, size=(64, 64), **other)


def assert_same(path, network, rows=slice(None)):
    torch.manual_seed(2)
    x = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        expected = network(x)[:, rows]
        assert expected.std() > 1e-3
        torch.testing.assert_close(load(path).network()(x), expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize('prefix', ['', 'model.', 'module.', 'net.', 'module.backbone.'])
def test_a_state_dict_of_torchvision_whatever_its_prefix(mobilenet, save, tmp_path, prefix):
    state = {prefix + name: tensor for name, tensor in mobilenet.state_dict().items()}
    if prefix:
        state['criterion.weight'] = torch.ones(3)  # beside the network, as in Lightning
    target = tmp_path / 'x.safetensors'
    card = convert(save({'state_dict': state, 'epoch': 1}), target, 'mine', meaning())
    assert (card.labels, card.channels, card.multilabel) == (LABELS, 3, False)
    assert card.preprocessing['std'] == list(STD)
    assert_same(target, mobilenet)


def test_a_whole_network_of_torchvision(mobilenet, save, tmp_path, form):
    target = tmp_path / 'x.safetensors'
    convert(save(mobilenet, form), target, 'mine', meaning())
    assert_same(target, mobilenet)


def test_safetensors_of_timm(tmp_path):
    import timm

    torch.manual_seed(3)
    network = lively(timm.create_model('resnet10t', num_classes=3))
    save_file(network.state_dict(), tmp_path / 'model.safetensors')
    target = tmp_path / 'x.safetensors'
    convert(tmp_path / 'model.safetensors', target, 'mine', meaning('timm:resnet10t'))
    assert_same(target, network)


def test_an_output_without_a_name_is_left_out(mobilenet, save, tmp_path):
    target = tmp_path / 'x.safetensors'
    several = meaning(labels=('covid', '', 'other'), multilabel=True)
    card = convert(save(mobilenet.state_dict()), target, 'mine', several)
    assert card.labels == ('covid', 'other')
    assert_same(target, mobilenet, [0, 2])


def test_files_from_before_batch_norm_counted(mobilenet, save, tmp_path):
    state = {n: t for n, t in mobilenet.state_dict().items() if 'num_batches' not in n}
    target = tmp_path / 'x.safetensors'
    convert(save(state), target, 'mine', meaning())
    assert_same(target, mobilenet)


def test_the_same_network_twice_is_not_guessed_at(mobilenet, save, tmp_path):
    state = {
        prefix + name: tensor
        for prefix in ('model.', 'model_ema.')
        for name, tensor in mobilenet.state_dict().items()
    }
    with pytest.raises(ForeignFileError, match=r"more than once, under 'model\.' and 'model_ema"):
        convert(save(state), tmp_path / 'x', 'mine', meaning())


@pytest.mark.parametrize(
    ('change', 'said'),
    [
        (lambda s: s.pop('features.0.0.weight'), r"'features\.0\.0\.weight' is missing"),
        (lambda s: s.update({'extra': torch.ones(1)}), "'extra' is too much"),
        (
            lambda s: s.update({'features.0.0.weight': torch.ones(16, 3, 5, 5)}),
            r'shape \(16, 3, 5, 5\) instead of \(16, 3, 3, 3\)',
        ),
        (
            lambda s: s.update({'features.0.0.weight': torch.ones(16, 4, 3, 3)}),
            'images of 4 channels',
        ),
        (lambda s: s.clear() or s.update({'w': torch.ones(1)}), 'other tensors are missing'),
        (lambda s: s['classifier.3.weight'].fill_(float('nan')), 'not finite'),
    ],
)
def test_what_does_not_fit_says_what(mobilenet, save, tmp_path, change, said):
    from napari_cxr.checkpoint import CheckpointError

    state = {name: tensor.clone() for name, tensor in mobilenet.state_dict().items()}
    change(state)
    with pytest.raises(CheckpointError, match=said):
        convert(save(state), tmp_path / 'x', 'mine', meaning())
    assert not (tmp_path / 'x').exists()


def test_labels_are_counted_and_another_network_is_named(mobilenet, save, tmp_path):
    path = save(mobilenet.state_dict())
    with pytest.raises(ForeignFileError, match='3 outputs, and 2 labels'):
        convert(path, tmp_path / 'x', 'mine', meaning(labels=('a', 'b')))
    with pytest.raises(ForeignFileError, match='does not fit resnet18'):
        convert(path, tmp_path / 'x', 'mine', meaning('resnet18'))
    with pytest.raises(ForeignFileError, match="no network 'resnet19'"):
        convert(path, tmp_path / 'x', 'mine', meaning('resnet19'))
    wrong = WeightsMeaning('mobilenet_v3_large', LABELS, (0.5, 0.5), (0.2, 0.2), size=(64, 64))
    with pytest.raises(ForeignFileError, match='3 number'):
        convert(path, tmp_path / 'x', 'mine', wrong)


@pytest.mark.parametrize('label', ['Age', 'patient_sex', 'RACE', 'Male', 'gender', 'Asian'])
def test_no_guesses_about_the_person(label):
    with pytest.raises(ForeignFileError, match='about the person'):
        check_labels(['Mass', label])
    check_labels(['Mass', '', 'White lung', 'Lung Opacity', 'Fracture', 'Sexton sign'])
