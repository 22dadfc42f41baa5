import csv
from dataclasses import replace

import numpy as np
import pytest

from napari_cxr import samples
from napari_cxr.lungs import LungField, frontal, frontal_network
from napari_cxr.lungs.frontal import check, judge
from napari_cxr.radiograph import Radiograph, UnreadableImage

BOUNDS = {'other': -2.0, 'sure': 2.0, 'inverted': 1.0, 'upside-down': 1.0, 'mirrored': 2.0}
TURNED = {
    'inverted': lambda x: 1 - x,
    'upside-down': lambda x: x[::-1],
    'mirrored': lambda x: x[:, ::-1],
}


@pytest.fixture(scope='module')
def chest():
    return samples.phantom((256, 224), seed=3).astype(np.float32)


def field(implausible=''):
    cells = np.zeros((4, 4), np.float32)
    return LungField(cells, cells, (8, 8), 'atlas', 0.0, implausible)


@pytest.mark.parametrize(
    ('scores', 'lungless', 'likely'),
    [
        ([9, 8, -5, -5, -5, -5, -5, -5], False, 'frontal'),
        # One way looks better than the picture as it is, but not by enough.
        ([6, 7.9, -5, -5, -5, -5, -5, -5], False, 'frontal'),
        ([6, 8.1, -5, -5, -5, -5, -5, -5], False, 'mirrored'),
        ([1, -5, -5, 2.5, -5, -5, -5, -5], False, 'upside-down'),
        ([-5, -5, -5, -5, -5, -5, 4, -5], False, 'inverted'),
        # Two ways are beyond their bounds: the one that is further beyond counts.
        ([-5, 4, -5, -5, 3.5, -5, -5, -5], False, 'inverted'),
        ([-2.1, -3, -5, -5, -5, -5, -5, -5], False, 'other'),
        ([1.9, -5, -5, -5, -5, -5, -5, -5], True, 'other'),
        ([2.1, -5, -5, -5, -5, -5, -5, -5], True, 'frontal'),
    ],
)
def test_the_rule(scores, lungless, likely):
    assert judge(np.array(scores, np.float32), BOUNDS, lungless).likely == likely


def test_the_score_is_a_share_of_nine_answers():
    even = judge(np.zeros(8, np.float32), BOUNDS)
    assert even.score == pytest.approx(1 / 9)
    # exp(ln 3) = 3 stands against 1 for anything else; the other ways are out of question.
    sure = judge(np.array([np.log(3)] + [-1000] * 7), BOUNDS)
    assert sure.score == pytest.approx(0.75)
    assert judge(np.array([1000.0] + [0] * 7), BOUNDS).score == pytest.approx(1)


def test_the_phantom_is_a_chest(chest):
    found = check(Radiograph.from_array(chest))
    assert found.likely == 'frontal' and found.score > 0.9 and found.sentence == ''


@pytest.mark.parametrize('kind', TURNED)
def test_what_was_turned_is_noticed_and_told(chest, kind):
    found = check(Radiograph.from_array(np.ascontiguousarray(TURNED[kind](chest))))
    assert found.likely == kind and found.score < 0.1
    word = {'inverted': 'exchanged', 'upside-down': 'upside down'}.get(kind, kind)
    assert word in found.sentence and 'save it' in found.sentence


def test_a_turned_radiograph_gets_the_same_answers_in_another_order(chest):
    image = np.random.default_rng(0).random((64, 64)).astype(np.float32)
    straight = frontal_network.answers(image)
    order = {
        'mirrored': [1, 0, 3, 2, 5, 4, 7, 6],
        'upside-down': [2, 3, 0, 1, 6, 7, 4, 5],
        'inverted': [4, 5, 6, 7, 0, 1, 2, 3],
    }
    for kind, places in order.items():
        turned = frontal_network.answers(TURNED[kind](image))
        np.testing.assert_allclose(turned, straight[places], atol=1e-4)
        assert frontal_network.WAYS[places[0]] == kind


def test_the_header_and_the_range_make_no_difference(chest):
    stored = np.rint(1000 + 2000 * (1 - chest)).astype(np.uint16)
    as_stored = Radiograph(stored, Radiograph.from_array(stored).presets, inverted=True)
    one, two = check(Radiograph.from_array(chest)), check(as_stored)
    assert one.likely == two.likely == 'frontal' and one.score == pytest.approx(
        two.score, abs=1e-3
    )


@pytest.mark.parametrize('kind', ['black', 'grey', 'noise', 'ramp', 'chessboard', 'disc'])
def test_what_is_no_chest(kind):
    y, x = np.mgrid[-1:1:200j, -1:1:180j]
    image = {
        'black': 0 * x,
        'grey': 0 * x + 0.4,
        'noise': np.random.default_rng(0).random(x.shape),
        'ramp': (x + 1) / 2,
        'chessboard': (np.floor(4 * x) + np.floor(4 * y)) % 2,
        'disc': (np.hypot(x, y) < 0.7) * 0.8,
    }[kind].astype(np.float32)
    found = check(Radiograph.from_array(image))
    assert found.likely != 'frontal' and found.score < 0.5 and found.sentence


def test_lungs_decide_where_the_network_hesitates(chest, monkeypatch):
    radiograph = Radiograph.from_array(chest)
    hesitant = np.array([1.0] + [-5.0] * 7)
    monkeypatch.setattr(frontal, 'answers', lambda image: hesitant)
    monkeypatch.setattr(frontal, 'card', lambda: {'bounds': BOUNDS})
    asked = []
    monkeypatch.setattr(frontal, 'find', lambda *a: asked.append(a) or field('no lungs'))
    assert check(radiograph, field()).likely == 'frontal'
    assert check(radiograph, field('one lung was hardly found')).likely == 'other'
    assert not asked
    assert check(radiograph).likely == 'other' and len(asked) == 1
    monkeypatch.setattr(frontal, 'answers', lambda image: hesitant + 9)
    assert check(radiograph).likely == 'frontal' and len(asked) == 1  # sure: not asked


def test_blank_margins_are_no_part_of_it(chest):
    straight = check(Radiograph.from_array(chest))
    for grey in (0.0, 1.0):
        page = np.full((400, 700), grey, np.float32)
        page[60:316, 400:624] = chest
        found = check(Radiograph.from_array(page))
        assert found.likely == 'frontal' and found.score == pytest.approx(straight.score, abs=0.02)


def test_trimmed():
    wide = np.full((96, 96), 0.3, np.float32)
    assert (frontal_network.trimmed(wide) == 0.3).all()  # nothing stands out: all of it
    wide[10:90, 20:84] = np.tile(np.linspace(0, 1, 64, dtype=np.float32), (80, 1))
    small = frontal_network.trimmed(wide)
    assert small.shape == (64, 64) and small[0, 0] == 0 and small[-1, -1] == 1
    np.testing.assert_allclose(small, np.tile(small[:1], (64, 1)), atol=1e-6)
    stripes = np.tile(np.linspace(0, 1, 96, dtype=np.float32), (96, 1))
    assert np.ptp(frontal_network.trimmed(stripes), axis=0).max() < 1e-6


def test_full_size_radiographs_are_thinned_without_a_difference(chest):
    from PIL import Image

    large = np.asarray(Image.fromarray(chest).resize((1792, 2048), Image.Resampling.BICUBIC))
    small, full = (check(Radiograph.from_array(np.clip(x, 0, 1))) for x in (chest, large))
    assert small.likely == full.likely and small.score == pytest.approx(full.score, abs=0.01)
    colour = np.repeat(np.rint(255 * np.clip(large, 0, 1))[..., None], 3, axis=2).astype(np.uint8)
    assert check(Radiograph.from_array(colour)).score == pytest.approx(full.score, abs=0.01)


def test_several_frames_are_no_radiograph():
    with pytest.raises(UnreadableImage):
        check(Radiograph.from_array(np.zeros((2, 64, 64), np.float32)))


def test_the_file_says_what_it_was_fitted_on():
    card = frontal_network.card()
    assert set(card['bounds']) == set(BOUNDS) and 'Hannover' in card['trained_on']
    for out in ('hannover', 'covidcxnet', 'nih', 'kermany'):
        assert card['false_alarms'][out]['all'] <= 0.02
    assert sum(w.size for w in frontal_network.weights().values()) < 50_000


def test_convolutions_agree_with_torch():
    torch = pytest.importorskip('torch')
    tensors = {k: torch.from_numpy(v) for k, v in frontal_network.weights().items()}
    image = np.random.default_rng(1).random((64, 64)).astype(np.float32)
    x = torch.from_numpy(image)[None, None]
    for i in range(4):
        x = torch.nn.functional.conv2d(
            x, tensors[f'conv.{i}.weight'], tensors[f'conv.{i}.bias'], stride=2, padding=1
        ).relu()
    expected = float((x[0] * tensors['sum.weight']).sum() + tensors['sum.bias'])
    assert frontal_network.answers(image)[0] == pytest.approx(expected, abs=1e-3)


def test_few_false_alarms_on_real_radiographs(cxr_data):
    from napari_cxr import files

    with open(cxr_data / 'cxr3' / 'manifest.csv', newline='') as table:
        rows = [row for row in csv.DictReader(table) if row['split'] == 'test'][::4]
    said = [check(files.read(cxr_data / 'cxr3' / row['path'])).likely for row in rows]
    assert len(said) > 60 and said.count('frontal') >= 0.97 * len(said)


def test_dicom_radiographs_and_one_whose_header_lies(cxr_data):
    from napari_cxr import files

    said = {}
    for path in sorted((cxr_data / 'dicom_cxr').glob('*.dcm')):
        if path.name != '966.dcm':  # damaged beyond decoding
            radiograph = files.read(path)
            said[path.name] = check(radiograph).likely
            if said[path.name] == 'frontal':
                turned = radiograph.with_values(radiograph.values[::-1])
                assert check(turned).likely == 'upside-down'
                assert check(replace(radiograph, inverted=not radiograph.inverted)).likely == (
                    'inverted'
                )
    assert said.pop('Fake_MONOHR1.dcm') == 'inverted'
    assert len(said) == 7 and set(said.values()) == {'frontal'}


def test_other_modalities_are_no_chests_whatever_their_tags(cxr_data):
    from napari_cxr import files

    names = ['CT_small.dcm', 'MR_small.dcm', 'US1_J2KR.dcm', 'JPEG-lossy.dcm', 'image_dfl.dcm']
    paths = [p for name in names for p in (cxr_data / 'dicom_odd').rglob(name)]
    assert paths
    for path in paths:
        assert check(files.read(path)).likely != 'frontal', path.name
