"""What was planted in a data set is what an audit says of it."""

import json
from shutil import copy

import numpy as np
import pytest
from PIL import Image

from napari_cxr.evaluation.audit_output import audit_to_dict, doubt_text, write_audit
from napari_cxr.evaluation.data_audit import AuditProgress, audit
from napari_cxr.scoring.table_reader import read_rows
from napari_cxr.training.dataset import DatasetError
from napari_cxr.training.training_events import ImageSkipped


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv('NAPARI_CXR_CACHE', str(tmp_path / 'cache'))


def write_image(path, bright, seed):
    """Noise, the upper or the lower half of which is brighter."""
    image = np.random.default_rng(seed).integers(40, 130, (72, 72))
    image[36 * bright : 36 * bright + 36] += 100
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image.astype(np.uint8)).save(path)


def run(steps):
    events = []
    while True:
        try:
            events.append(next(steps))
        except StopIteration as end:
            return events, end.value


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """Two sources: in one the class is what is bright and 2 of 32 labels are exchanged."""
    root = tmp_path_factory.mktemp('audited')
    lines = ['path,label,split,patient,source,view,age,sex']
    for i in range(32):
        bright = i % 2
        write_image(root / 'a' / f'{i}.png', bright, i)
        given = 1 - bright if i in (4, 9) else bright
        lines.append(f'a/{i}.png,{"xy"[given]},train,DOE{i},a,AP,{30 + i % 3},{"FM"[i % 3 > 0]}')
    for i in range(8):
        write_image(root / 'b' / f'{i}.png', 0, 100 + i)
        lines.append(f'b/{i}.png,z,test,ROE{i},b,PA,70,')
    copy(root / 'a' / '2.png', root / 'b' / 'copy.png')
    lines.append('b/copy.png,z,test,POE,b,PA,70,')
    (root / 'b' / 'damaged.png').write_bytes(b'no image')
    lines.append('b/damaged.png,z,test,MOE,b,PA,70,')
    (root / 'manifest.csv').write_text('\n'.join(lines) + '\n')
    return root


@pytest.fixture(scope='module')
def audited(folder, tmp_path_factory):
    patch = pytest.MonkeyPatch()
    patch.setenv('NAPARI_CXR_CACHE', str(tmp_path_factory.mktemp('decoded')))
    try:
        return run(audit(folder, run='look'))
    finally:
        patch.undo()


def said(found, words):
    return [text for text in found.findings if words in text]


def test_exchanged_labels_are_the_most_doubtful(audited):
    _, found = audited
    assert found.labels == ('x', 'y', 'z') and len(found.paths) == 41
    first = [found.paths[i].rpartition('/')[2] for i in found.most_doubtful[:2]]
    assert sorted(first) == ['4.png', '9.png']
    place = found.most_doubtful[0]
    other = found.labels[1 - int(found.truth[place].argmax())]
    assert doubt_text(found, place) == (
        f'It looks more like the images of a that are labelled {other}.'
    )
    # Of source b there is one class, so nothing is said of its labels.
    assert len(found.most_doubtful) == 32 and not np.isfinite(found.doubts[32:]).any()
    assert said(found, 'The labels of b could not be judged')


def test_copies_under_two_labels_and_across_splits_are_named(audited):
    _, found = audited
    (copies,) = found.copies
    assert [found.paths[i].rpartition('/')[2] for i in copies] == ['2.png', 'copy.png']
    assert said(found, '2 files are byte for byte copies of a file with another label')
    assert said(found, '1 pairs of near-duplicates are divided between the given splits')
    # No classifier that judges one of them has seen the other.
    assert found.groups[copies[0]] == found.groups[copies[1]]


def test_variables_that_give_the_class_away_are_named(audited):
    _, found = audited
    by_name = {one.name: one for one in found.variables}
    assert list(by_name) == ['source', 'view', 'age', 'sex']
    assert by_name['source'].counts['b'] == {'x': 0, 'y': 0, 'z': 9}
    # It tells z from x and y, and not x from y.
    assert 0.65 < by_name['source'].auc[0] < 0.8
    assert by_name['age'].counts['60 to 79'] == {'x': 0, 'y': 0, 'z': 9}
    assert by_name['sex'].images == 32
    assert said(found, 'The sources differ in age. Median in years: a 31, b 70.')
    (a, b) = found.by_source
    assert (a.name, a.judged, a.counts['x'] + a.counts['y']) == ('a', 32, 32)
    assert (b.name, b.judged, b.baseline) == ('b', 0, ())


def test_noise_is_no_frontal_radiograph_and_a_damaged_file_is_skipped(audited):
    events, found = audited
    assert set(found.frontal) == {'other'}
    assert said(found, '41 of 41 images do not look like upright frontal chest radiographs')
    assert [path for path, _ in found.skipped] == ['b/damaged.png']
    assert [e.path for e in events if isinstance(e, ImageSkipped)] == ['b/damaged.png']
    fractions = [e.fraction for e in events if isinstance(e, AuditProgress)]
    assert fractions == sorted(fractions) and fractions[0] >= 0 and fractions[-1] <= 1
    assert len({e.doing for e in events if isinstance(e, AuditProgress)}) == 6


def test_the_table_opens_as_a_reading_list(audited, tmp_path):
    _, found = audited
    report, table = write_audit(found, tmp_path / 'new' / 'out')
    scores, rows = read_rows(table)
    rows = list(rows)
    assert scores.labels == ('x', 'y', 'z') and len(rows) == 32
    assert [row.path for row in rows] == [found.paths[i] for i in found.most_doubtful]
    assert 'labelled' in ' '.join(w.text for w in rows[0].warnings)
    content = json.loads(report.read_text())
    assert content == audit_to_dict(found)
    assert content['doubtful_labels'][0]['path'] == rows[0].path
    assert {one['name']: one['could_give_the_auc'] for one in content['variables']}['sex'] == 'no'
    # Patients are numbers.
    assert 'DOE' not in report.read_text() + table.read_text()


def test_a_model_s_auc_can_be_asked_about(folder):
    _, found = run(audit(folder, asked=0.7))
    (source,) = (one for one in found.variables if one.name == 'source')
    assert source.answer == 'yes' and 'an AUC of 0.700' in source.text
    assert source.text in found.findings
    with pytest.raises(DatasetError, match='is not an AUC'):
        run(audit(folder, asked=7))


def test_several_labels_are_doubted_one_by_one(tmp_path):
    lines = ['path,label']
    for i in range(40):
        bright = i % 2
        write_image(tmp_path / f'{i}.png', bright, i)
        has = bright if i != 6 else 1 - bright
        labels = [*(['low'] if has else []), *(['third'] if i % 3 == 0 else [])]
        lines.append(f'{i}.png,{"|".join(labels) or "none"}')
    (tmp_path / 'list.csv').write_text('\n'.join(lines) + '\n')
    _, found = run(audit(tmp_path / 'list.csv'))
    assert found.multilabel
    place = found.paths.index(str(tmp_path / '6.png'))
    assert place in found.most_doubtful[:3]
    assert doubt_text(found, place).startswith('It has the label low, but looks more like')


def test_closing_an_audit_ends_it(folder):
    steps = audit(folder)
    next(steps)
    steps.close()
    with pytest.raises(StopIteration):
        next(steps)
