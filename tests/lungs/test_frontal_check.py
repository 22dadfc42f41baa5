import csv
from dataclasses import replace

import numpy as np
import pytest

from napari_cxr import samples
from napari_cxr.lungs import LungField, frontal_check
from napari_cxr.lungs.frontal_check import check_frontal, judge_scores
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
    assert judge_scores(np.array(scores, np.float32), BOUNDS, lungless).kind == likely


def test_the_score_is_a_share_of_nine_answers():
    even = judge_scores(np.zeros(8, np.float32), BOUNDS)
    assert even.score == pytest.approx(1 / 9)
    # exp(ln 3) = 3 stands against 1 for anything else; the other ways are out of question.
    sure = judge_scores(np.array([np.log(3)] + [-1000] * 7), BOUNDS)
    assert sure.score == pytest.approx(0.75)
    assert judge_scores(np.array([1000.0] + [0] * 7), BOUNDS).score == pytest.approx(1)


def test_the_phantom_is_a_chest(chest):
    found = check_frontal(Radiograph.from_array(chest))
    assert found.kind == 'frontal' and found.score > 0.9 and found.message == ''


@pytest.mark.parametrize('kind', TURNED)
def test_what_was_turned_is_noticed_and_told(chest, kind):
    found = check_frontal(Radiograph.from_array(np.ascontiguousarray(TURNED[kind](chest))))
    assert found.kind == kind and found.score < 0.1
    word = {'inverted': 'exchanged', 'upside-down': 'upside down'}.get(kind, kind)
    assert word in found.message and 'classify it again' in found.message


def test_a_turned_radiograph_gets_the_same_answers_in_another_order(chest):
    image = np.random.default_rng(0).random((64, 64)).astype(np.float32)
    straight = frontal_check.orientation_scores(image)
    order = {
        'mirrored': [1, 0, 3, 2, 5, 4, 7, 6],
        'upside-down': [2, 3, 0, 1, 6, 7, 4, 5],
        'inverted': [4, 5, 6, 7, 0, 1, 2, 3],
    }
    for kind, places in order.items():
        turned = frontal_check.orientation_scores(TURNED[kind](image))
        np.testing.assert_allclose(turned, straight[places], atol=1e-4)
        assert frontal_check.ORIENTATIONS[places[0]] == kind


def test_the_header_and_the_range_make_no_difference(chest):
    stored = np.rint(1000 + 2000 * (1 - chest)).astype(np.uint16)
    as_stored = Radiograph(stored, Radiograph.from_array(stored).presets, inverted=True)
    one, two = check_frontal(Radiograph.from_array(chest)), check_frontal(as_stored)
    assert one.kind == two.kind == 'frontal' and one.score == pytest.approx(two.score, abs=1e-3)


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
    found = check_frontal(Radiograph.from_array(image))
    assert found.kind != 'frontal' and found.score < 0.5 and found.message


def test_lungs_decide_where_the_network_hesitates(chest, monkeypatch):
    radiograph = Radiograph.from_array(chest)
    hesitant = np.array([1.0] + [-5.0] * 7)
    monkeypatch.setattr(frontal_check, 'orientation_scores', lambda image: hesitant)
    monkeypatch.setattr(frontal_check, 'frontal_card', lambda: {'bounds': BOUNDS})
    asked = []
    monkeypatch.setattr(
        frontal_check, 'find_lungs', lambda *a: asked.append(a) or field('no lungs')
    )
    assert check_frontal(radiograph, field()).kind == 'frontal'
    assert check_frontal(radiograph, field('one lung was hardly found')).kind == 'other'
    assert not asked
    assert check_frontal(radiograph).kind == 'other' and len(asked) == 1
    monkeypatch.setattr(frontal_check, 'orientation_scores', lambda image: hesitant + 9)
    assert check_frontal(radiograph).kind == 'frontal' and len(asked) == 1  # sure: not asked


def test_blank_margins_are_no_part_of_it(chest):
    straight = check_frontal(Radiograph.from_array(chest))
    for grey in (0.0, 1.0):
        page = np.full((400, 700), grey, np.float32)
        page[60:316, 400:624] = chest
        found = check_frontal(Radiograph.from_array(page))
        assert found.kind == 'frontal' and found.score == pytest.approx(straight.score, abs=0.02)


def test_trimmed():
    wide = np.full((96, 96), 0.3, np.float32)
    assert (frontal_check.without_margins(wide) == 0.3).all()  # nothing stands out: all of it
    wide[10:90, 20:84] = np.tile(np.linspace(0, 1, 64, dtype=np.float32), (80, 1))
    small = frontal_check.without_margins(wide)
    assert small.shape == (64, 64) and small[0, 0] == 0 and small[-1, -1] == 1
    np.testing.assert_allclose(small, np.tile(small[:1], (64, 1)), atol=1e-6)
    stripes = np.tile(np.linspace(0, 1, 96, dtype=np.float32), (96, 1))
    assert np.ptp(frontal_check.without_margins(stripes), axis=0).max() < 1e-6


def test_full_size_radiographs_are_thinned_without_a_difference(chest):
    from PIL import Image

    large = np.asarray(Image.fromarray(chest).resize((1792, 2048), Image.Resampling.BICUBIC))
    small, full = (check_frontal(Radiograph.from_array(np.clip(x, 0, 1))) for x in (chest, large))
    assert small.kind == full.kind and small.score == pytest.approx(full.score, abs=0.01)
    colour = np.repeat(np.rint(255 * np.clip(large, 0, 1))[..., None], 3, axis=2).astype(np.uint8)
    assert check_frontal(Radiograph.from_array(colour)).score == pytest.approx(
        full.score, abs=0.01
    )


def test_several_frames_are_no_radiograph():
    with pytest.raises(UnreadableImage):
        check_frontal(Radiograph.from_array(np.zeros((2, 64, 64), np.float32)))


def test_the_file_says_what_it_was_fitted_on():
    card = frontal_check.frontal_card()
    assert set(card['bounds']) == set(BOUNDS) and 'Hannover' in card['trained_on']
    for out in ('hannover', 'covidcxnet', 'nih', 'kermany'):
        assert card['false_alarms'][out]['all'] <= 0.02
    assert sum(w.size for w in frontal_check.frontal_weights().values()) < 50_000


def test_convolutions_agree_with_torch():
    torch = pytest.importorskip('torch')
    tensors = {k: torch.from_numpy(v) for k, v in frontal_check.frontal_weights().items()}
    image = np.random.default_rng(1).random((64, 64)).astype(np.float32)
    x = torch.from_numpy(image)[None, None]
    for i in range(4):
        x = torch.nn.functional.conv2d(
            x, tensors[f'conv.{i}.weight'], tensors[f'conv.{i}.bias'], stride=2, padding=1
        ).relu()
    expected = float((x[0] * tensors['sum.weight']).sum() + tensors['sum.bias'])
    assert frontal_check.orientation_scores(image)[0] == pytest.approx(expected, abs=1e-3)


def test_few_false_alarms_on_real_radiographs(cxr_data):
    from napari_cxr import image_files

    with open(cxr_data / 'cxr3' / 'manifest.csv', newline='') as table:
        rows = [row for row in csv.DictReader(table) if row['split'] == 'test'][::4]
    said = [check_frontal(image_files.read(cxr_data / 'cxr3' / row['path'])).kind for row in rows]
    assert len(said) > 60 and said.count('frontal') >= 0.97 * len(said)


def test_dicom_radiographs_and_one_whose_header_lies(cxr_data):
    from napari_cxr import image_files

    said = {}
    for path in sorted((cxr_data / 'dicom_cxr').glob('*.dcm')):
        if path.name != '966.dcm':  # damaged beyond decoding
            radiograph = image_files.read(path)
            said[path.name] = check_frontal(radiograph).kind
            if said[path.name] == 'frontal':
                turned = radiograph.with_values(radiograph.values[::-1])
                assert check_frontal(turned).kind == 'upside-down'
                assert check_frontal(
                    replace(radiograph, inverted=not radiograph.inverted)
                ).kind == ('inverted')
    assert said.pop('Fake_MONOHR1.dcm') == 'inverted'
    assert len(said) == 7 and set(said.values()) == {'frontal'}


def test_other_modalities_are_no_chests_whatever_their_tags(cxr_data):
    from napari_cxr import image_files

    names = ['CT_small.dcm', 'MR_small.dcm', 'US1_J2KR.dcm', 'JPEG-lossy.dcm', 'image_dfl.dcm']
    paths = [p for name in names for p in (cxr_data / 'dicom_odd').rglob(name)]
    assert paths
    for path in paths:
        assert check_frontal(image_files.read(path)).kind != 'frontal', path.name
