"""``napari-cxr models get`` and ``add``."""

import json

import imageio.v3 as iio
import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from napari_cxr import samples
from napari_cxr.checkpoint import catalog, read_card
from napari_cxr.cli import app
from serving import Served, serving


@pytest.fixture
def run(monkeypatch):
    monkeypatch.setenv('NO_PROXY', '127.0.0.1')

    def invoke(*arguments):
        return CliRunner().invoke(app, [str(a) for a in arguments])

    return invoke


def test_get_says_the_terms_and_then_the_model_can_be_named(
    run, foreign_file, listed_foreign, tmp_path
):
    with serving(Served(foreign_file.read_bytes())) as address:
        listed_foreign(f'{address}file')
        listed = run('models').stdout
        assert 'get it with: napari-cxr models get findings' in listed
        refused = run('classify', 'x.png', '--model', 'findings')
        assert refused.exit_code == 2 and 'napari-cxr models get findings' in refused.output
        result = run('models', 'get', 'findings')
    assert result.exit_code == 0, result.output
    for said in ('18 findings', 'Apache-2.0', 'Learnt from: NIH', '2111.00595', 'is ready'):
        assert said in result.stdout
    assert 'is here already' in run('models', 'get', 'findings').stdout
    iio.imwrite(tmp_path / 'a.png', (255 * samples.phantom((160, 140))).astype(np.uint8))
    result = run('classify', tmp_path / 'a.png', '--model', 'findings', '--json')
    assert result.exit_code == 0, result.output
    assert len(json.loads(result.stdout)['probabilities']) == 18


def test_get_with_the_file_at_hand_and_with_another(run, foreign_file, listed_foreign, tmp_path):
    listed_foreign('http://127.0.0.1:9/file')
    (tmp_path / 'other.pt').write_bytes(b'x' * 100)
    result = run('models', 'get', 'findings', '--file', tmp_path / 'other.pt')
    assert result.exit_code == 1 and 'other.pt is not the file of findings' in result.output
    assert 'cannot be reached' in run('models', 'get', 'findings').output
    assert run('models', 'get', 'findings', '--file', foreign_file).exit_code == 0
    assert read_card(catalog.resolve('findings')).decision == 'library'


def test_get_of_what_there_is_not(run):
    result = run('models', 'get', 'cxr3-resnet10')
    assert result.exit_code == 2 and 'there are xrv-all' in result.output


def test_add_weights_of_torchvision(run, tmp_path):
    from torchvision.models import mobilenet_v3_large

    torch.save(mobilenet_v3_large(num_classes=3).state_dict(), tmp_path / 'x.pth')
    common = ('models', 'add', tmp_path / 'x.pth', '--network', 'mobilenet_v3_large')
    scale = ('--mean', '0.485,0.456,0.406', '--std', '0.229,0.224,0.225')
    result = run(*common, '--name', 'mine', '--labels', 'a,,c', *scale, '--size', 96,
                 '--licence', 'CC BY 4.0')  # fmt: skip
    assert result.exit_code == 0, result.output
    card = read_card(catalog.resolve('mine'))
    assert (card.labels, card.channels, card.multilabel) == (('a', 'c'), 3, False)
    assert card.preprocessing['height'] == 96 and card.licence == 'CC BY 4.0'
    result = run(*common, '--name', 'mine', '--labels', 'a,b,c', *scale)
    assert result.exit_code == 2 and "'mine' is taken" in result.stderr
    for wrong, said in (
        (['--labels', 'a,a,c', *scale], "'a' is given twice"),
        (['--labels', 'a,b,c', '--mean', '123', '--std', '58'], 'divide mean and deviation'),
        (['--labels', 'a,b,c', '--mean', '0.5', '--std', '0'], 'above 0'),
    ):
        result = run(*common, '--name', 'other', *wrong)
        assert result.exit_code == 2 and said in result.stderr
    for arguments, said in (
        (('--labels', 'a,b', *scale), '3 outputs, and 2 labels'),
        (('--labels', 'a,b,Sex', *scale), 'about the person'),
    ):
        result = run(*common, '--name', 'other', *arguments)
        assert result.exit_code == 1 and said in result.output
    for arguments, said in ((scale, '--labels'), (('--labels', 'a,b,c'), '--mean')):
        result = run(*common, '--name', 'other', *arguments)
        assert result.exit_code == 2 and said in result.output
    assert not any(entry.name == 'other' for entry in catalog.entries())


def test_add_like_torchxrayvision(run, foreign_file, tmp_path):
    result = run('models', 'add', foreign_file, '--name', 'x', '--like', 'torchxrayvision')
    assert result.exit_code == 1 and 'does not say what its outputs mean' in result.output
    result = run('models', 'add', foreign_file, '--name', 'x', '--like', 'torchxrayvision:chex')
    assert result.exit_code == 0, result.output
    card = read_card(catalog.resolve('x'))
    assert 'Lung Opacity' in card.labels and len(card.labels) == 11
    assert card.operating_points['Atelectasis'] == {'library': 0.1988969}
    # Labels and thresholds that the network itself carries.
    network = torch.load(foreign_file, weights_only=False)
    network.pathologies = [f'Finding {i}' if i % 2 else '' for i in range(18)]
    network.register_buffer('op_threshs', torch.linspace(0.125, 0.25, 18))
    torch.save(network, tmp_path / 'own.pt')
    result = run('models', 'add', tmp_path / 'own.pt', '--name', 'y', '--like', 'torchxrayvision')
    assert result.exit_code == 0, result.output
    card = read_card(catalog.resolve('y'))
    assert card.labels == tuple(f'Finding {i}' for i in range(1, 18, 2))
    assert card.thresholds[-1] == 0.25


def test_add_a_model_of_ours_and_what_is_none(run, model_file, foreign_file):
    assert run('models', 'add', model_file, '--name', 'tiny').exit_code == 0
    result = run('models', 'add', foreign_file, '--name', 'z')
    assert result.exit_code == 1 and '--like torchxrayvision' in result.output
    assert run('models', 'add', model_file, '--name', '../x').exit_code == 2


def test_the_card_of_a_model_is_shown_by_name_and_by_file(run, model_file):
    result = run('models', 'show', 'cxr3-resnet10')
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith('# cxr3-resnet10\n') and '## Results' in result.stdout
    shown = json.loads(run('models', 'show', model_file, '--json').stdout)
    assert shown['name'] == 'tiny' and shown['labels'] == ['covid19', 'normal', 'pneumonia']
    result = run('models', 'show', 'no-such-model')
    assert result.exit_code == 2 and 'no-such-model' in result.stderr


@pytest.mark.parametrize(
    ('words', 'offered'),
    [
        ('score x --model cxr', {'cxr-opacity', 'cxr3-lung-texture', 'cxr3-resnet10'}),
        ('models show cxr-o', {'cxr-opacity'}),
        ('train x --recipe start-f', {
            'start-few-images', 'start-findings', 'start-fine-tuning', 'start-from-scratch',
            'start-frozen',
        }),
        ('sweep x --sweep no', {'nova'}),
        ('recipes show nova', {'nova', 'nova-custom-cnn', 'nova-vgg16'}),
        ('score x --split ', {'train', 'val', 'test'}),
        ('score x --pa', {'--path-column', '--patient-column'}),
    ],
)  # fmt: skip
def test_what_the_shell_completes(words, offered):
    # As bash asks, see `napari-cxr --show-completion bash`.
    typed = f'napari-cxr {words}'
    count = len(typed.split()) - (not typed.endswith(' '))
    environment = {
        '_NAPARI_CXR_COMPLETE': 'complete_bash',
        'COMP_WORDS': typed,
        'COMP_CWORD': str(count),
    }
    result = CliRunner().invoke(app, prog_name='napari-cxr', env=environment)
    assert set(result.stdout.split()) == offered
