"""The scripts that make the lung field, on radiographs and masks that are drawn here."""

import csv
import json
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

SCRIPTS = Path(__file__).parents[2] / 'scripts'


@pytest.fixture(scope='module', autouse=True)
def scripts():
    """Let the scripts be imported, and nothing of them afterwards."""
    sys.path.insert(0, str(SCRIPTS))
    yield
    sys.path.remove(str(SCRIPTS))


@pytest.fixture
def small_unet(monkeypatch):
    """Train few filters: on processors without bfloat16 the whole network takes half a minute."""
    import lung_learning

    monkeypatch.setattr(lung_learning, 'UNet', partial(lung_learning.UNet, (4, 6, 8)))


def drawn(rng, size=192):
    """A grey body with two dark ellipses, and which is which."""
    y, x = np.mgrid[:size, :size] / size
    sides = np.zeros((size, size), np.uint8)
    for number, centre in ((1, 0.3), (2, 0.7)):
        shift, grow = rng.uniform(-0.03, 0.03), rng.uniform(0.9, 1.1)
        oval = ((x - centre - shift) / 0.14) ** 2 + ((y - 0.45) / 0.3) ** 2
        sides[oval < grow] = number
    image = np.where(sides > 0, 60, 190) + rng.normal(0, 6, sides.shape)
    return np.clip(image, 0, 255).astype(np.uint8), sides


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    """Folders like those of the real data, with few and small images."""
    folder, rng = tmp_path_factory.mktemp('data'), np.random.default_rng(0)
    rows = []
    (folder / 'lungmasks').mkdir()
    for number in range(6):
        image, sides = drawn(rng)
        files = {'image': f'{number}.png', 'mask': f'm{number}.png', 'mask_left_right': ''}
        Image.fromarray(image).save(folder / 'lungmasks' / files['image'])
        Image.fromarray((sides > 0).astype(np.uint8) * 255).save(
            folder / 'lungmasks' / files['mask']
        )
        if number % 2:
            # Numbered the other way round, as some projects do.
            files['mask_left_right'] = f's{number}.png'
            Image.fromarray(np.array([0, 2, 1], np.uint8)[sides]).save(
                folder / 'lungmasks' / files['mask_left_right']
            )
        rows.append({**files, 'split': 'test' if number > 3 else 'train', 'mask_source': 'ours'})
    write(folder / 'lungmasks' / 'manifest.csv', rows)
    rows = []
    (folder / 'cxr3').mkdir()
    for number in range(4):
        Image.fromarray(drawn(rng)[0]).save(folder / 'cxr3' / f'{number}.png')
        split = 'test' if number == 3 else 'train'
        rows.append({'path': f'{number}.png', 'source': 'nih', 'split': split})
    write(folder / 'cxr3' / 'manifest.csv', rows)
    return folder


def write(path, rows):
    with open(path, 'w', newline='') as table:
        writer = csv.DictWriter(table, rows[0])
        writer.writeheader()
        writer.writerows(rows)


def test_masks_are_read_with_the_image_left_first(data):
    from lung_material import read_masks

    for item in read_masks(data / 'lungmasks'):
        columns = [np.nonzero(item.sides == number)[1] for number in (1, 2)]
        assert columns[0].max() < columns[1].min()
        assert ((item.sides > 0) == item.mask).all()


def test_lungs_that_touch_are_divided_where_they_are_thinnest():
    from lung_material import _divided

    mask = np.zeros((100, 100), bool)
    mask[20:80, 10:45] = mask[20:80, 55:90] = mask[60:64, 45:55] = True
    sides = _divided(mask)
    assert (sides[20:80, 10:45] == 1).all() and (sides[20:80, 55:90] == 2).all()


def test_only_radiographs_for_training_go_without_masks(data):
    from lung_material import unmasked

    assert [path.name for path in unmasked(data / 'cxr3', ('nih',))] == ['0.png', '1.png', '2.png']
    assert unmasked(data / 'cxr3', ('kermany',)) == []


def test_lungs_move_with_the_image_and_keep_their_side():
    from lung_augmentation import _moved

    _, sides = drawn(np.random.default_rng(1))
    sides = torch.from_numpy(sides)[None].repeat(24, 1, 1).long()
    # The number of the lung is what the image shows, so that both must move alike.
    moved, lungs = _moved(sides.float() / 2, sides, np.random.default_rng(2))
    assert lungs.shape == (24, 2, 128, 128)
    mirrored = 0
    for image, (one, other) in zip(moved[:, 0], lungs, strict=True):
        columns = [np.nonzero(lung.numpy() > 0.99)[1].mean() for lung in (one, other)]
        assert columns[0] < columns[1]
        values = [float(image[lung > 0.99].median()) for lung in (one, other)]
        mirrored += values == [1, 0.5]
        assert values in ([0.5, 1], [1, 0.5])
    assert 4 < mirrored < 20


def test_augmented_images_stay_images():
    from lung_augmentation import augment

    image, sides = drawn(np.random.default_rng(1))
    images = torch.from_numpy(image)[None].repeat(30, 1, 1).float() / 255
    sides = torch.from_numpy(sides)[None].repeat(30, 1, 1).long()
    x, truth = augment(images, sides, np.random.default_rng(0))
    assert x.shape == (30, 1, 128, 128) and truth.shape == (30, 3, 128, 128)
    assert x.min() >= 0 and x.max() <= 1 and x.isfinite().all()
    np.testing.assert_allclose(truth.sum(1), 1, atol=1e-5)
    spoilt = (truth[:, 0].mean((1, 2)) == 1).sum()
    assert 0 < spoilt < 12
    again, _ = augment(images, sides, np.random.default_rng(0))
    assert (again == x).all()


def test_a_network_computes_the_same_after_export():
    from lung_network import UNet

    from napari_cxr.lungs.lung_network import unet_forward

    torch.manual_seed(0)
    network = UNet((4, 6, 8)).eval()
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            for tensor in (module.running_mean, module.bias.data):
                tensor.normal_()
            for tensor in (module.running_var, module.weight.data):
                tensor.uniform_(0.5, 2)
    image = torch.rand(1, 1, 24, 32)
    with torch.no_grad():
        expected = network(image)[0].numpy()
    found = unet_forward(
        network.to(memory_format=torch.channels_last).exported(), image[0, 0].numpy()
    )
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_an_interrupted_training_goes_on_to_the_same_weights(data, tmp_path, small_unet):
    from lung_learning import Learning, Plan
    from lung_material import pixels, read_masks

    masked = [item for item in read_masks(data / 'lungmasks') if item.split == 'train']
    images, sides = map(torch.from_numpy, pixels(masked))
    plan = Plan(first=2, second=3, batch=2)

    def run(stop):
        state = tmp_path / f'{stop}.safetensors'
        learning = Learning(plan)
        for more in (None, (images, sides)):
            for step, loss in learning.learn(images, sides, more, state):
                assert np.isfinite(loss)
                if step == stop:
                    learning.save(state)
                    learning = Learning(plan)
                    assert learning.resume(state)
                    break
            else:
                continue
            list(learning.learn(images, sides, more, state))
        return learning.mean.exported()

    straight, interrupted = run(None), run(4)
    assert all((straight[name] == interrupted[name]).all() for name in straight)


def test_a_state_of_another_plan_is_not_taken_up(tmp_path):
    from lung_learning import Learning, Plan

    Learning(Plan(seed=1)).save(tmp_path / 'state.safetensors')
    assert not Learning(Plan(seed=2)).resume(tmp_path / 'state.safetensors')


def test_the_surest_answers_of_each_source_are_chosen():
    from lung_learning import own_answers

    class Known(torch.nn.Module):
        """Says lung where it is dark, and which by the half; grey makes it unsure."""

        def forward(self, x):
            dark = (0.5 - x[:, 0]) * 20
            left = torch.arange(x.shape[-1]) < x.shape[-1] // 2
            zeros = torch.zeros_like(dark)
            return torch.stack(
                [zeros, dark.where(left, zeros - 99), dark.where(~left, zeros - 99)], 1
            )

    rng = np.random.default_rng(0)
    images = np.array([drawn(rng)[0] for _ in range(6)])
    images[1, :, 100:] = 200  # one lung is missing
    images[2] = images[2] // 3 + 84  # so little contrast that nothing is sure
    images[5] = images[5] // 3 + 84
    chosen, sides = own_answers(Known(), images, np.array(['a', 'a', 'a', 'b', 'b', 'b']), 2 / 3)
    assert chosen.tolist() == [0, 2, 3, 4] or chosen.tolist() == [0, 3, 4]
    assert sides.dtype == np.uint8 and sides.shape[1:] == (192, 192)
    dark = images[0] < 125
    assert ((sides[0] > 0) == dark).mean() > 0.97


def test_the_whole_command(data, tmp_path, monkeypatch, capsys, small_unet):
    import train_lung_field
    from safetensors import safe_open

    monkeypatch.setenv('NAPARI_CXR_DATA', str(data))
    monkeypatch.setattr(train_lung_field, 'SOURCES', ('nih',))
    # A single step makes no network whose answers could be chosen.
    masks = torch.zeros(2, 192, 192, dtype=torch.uint8)
    monkeypatch.setattr(
        train_lung_field,
        'own_answers',
        lambda network, images, groups, kept: (np.array([0, 2]), masks.numpy()),
    )
    folders = ['--out', str(tmp_path / 'out'), '--into', str(tmp_path)]
    arguments = [*folders, '--first', '1', '--second', '1']
    monkeypatch.setattr(sys, 'argv', ['train_lung_field.py', *arguments])
    train_lung_field.main()
    with safe_open(tmp_path / 'lung-field.safetensors', 'numpy') as file:
        said = json.loads(file.metadata()['napari_cxr.lung_field'])
    assert '4 radiographs for training, 2 for testing' in said['masks']
    assert 'nih (2)' in said['own_answers']
    assert said['figures']['all']['n'] == 2
    assert len((tmp_path / 'average_lungs.csv').read_text().split()) == 64
    assert 'Wilcoxon p' in capsys.readouterr().out
