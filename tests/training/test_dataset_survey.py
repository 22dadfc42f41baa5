"""What is in a labelled folder is counted rightly, and what misleads is said."""

from shutil import copy

import numpy as np
import pytest
from labelled_images import write_image, write_table
from PIL import Image

from napari_cxr.training import DatasetError, ImageSkipped, ReadingProgress
from napari_cxr.training.dataset_survey import cramers_v, survey


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv('NAPARI_CXR_CACHE', str(tmp_path / 'cache'))


def run(steps):
    events = []
    while True:
        try:
            events.append(next(steps))
        except StopIteration as end:
            return events, end.value


def flagged(found, words):
    return [text for text in found.flags if words in text]


def test_what_is_there_is_counted(folder, recipe):
    copy(folder / 'left' / '0.png', folder / 'left' / '22.png')
    (folder / 'right' / '1.png').write_bytes(b'no image')
    _, before = run(survey(folder, recipe))
    out = recipe.with_changes({'data.exclude': [before.digests[1]]})
    events, found = run(survey(folder, out, run='look'))
    assert {type(event) for event in events} == {ReadingProgress, ImageSkipped}
    assert all(event.run == 'look' for event in events) and found.run == 'look'
    assert found.labels == ('left', 'right') and len(found.paths) == 23
    assert found.paths[0] == str(folder / 'left' / '0.png')
    assert found.truth.sum(axis=0).tolist() == [12, 11]
    assert found.excluded.tolist() == [False, True] + [False] * 21
    assert found.splits[:2] == ('train', '') and found.splits[-1] == 'test'
    assert found.cooccurrence.tolist() == [[11, 0], [0, 11]]
    assert found.sizes.tolist() == [[40, 40]] * 23
    assert found.sources[:2] == ('a', 'a') and found.groups[0] == found.groups[1]
    np.testing.assert_allclose(found.histograms.sum(axis=1), 1, atol=1e-6)
    assert [path for path, _ in found.skipped] == ['right/1.png']
    (pair,) = found.pairs
    assert (pair.first, pair.second, pair.distance, pair.across) == (0, 21, 0, True)
    assert pair.similarity == pytest.approx(1, abs=1e-5)
    assert flagged(found, '1 pairs of near-duplicates are divided between the given splits')
    assert flagged(found, 'are listed under different patients')
    assert flagged(found, '1 of 24 files cannot be used')
    assert flagged(found, "'left' has only 6 patients")
    assert found.split_kind == 'by patient'


def test_the_histogram_is_that_of_a_class(tmp_path, recipe):
    for i in range(8):
        for label, grey in (('dark', 40), ('light', 200)):
            image = np.random.default_rng(i).integers(grey, grey + 2, (30, 30 + i), np.uint8)
            (tmp_path / label).mkdir(exist_ok=True)
            Image.fromarray(image).save(tmp_path / label / f'{i}.png')
    _, found = run(survey(tmp_path, recipe))
    # 40 and 200 of 255 lie in the 6th and the 26th of 32 equal parts.
    assert found.histograms[0].argmax() == 5 and found.histograms[1].argmax() == 25


def test_what_needs_no_anatomy_is_measured_and_flagged(tmp_path, recipe):
    for i in range(60):
        label = 'ab'[i % 2]
        size = 30 + i % 2 * 10 + i // 2 % 3
        write_image(tmp_path / label / f'{i}.png', 'left', i, size=size)
    _, found = run(survey(tmp_path, recipe))
    assert set(found.baselines) == {'logistic regression', 'boosted trees'}
    for value, low, high in found.baselines.values():
        assert 0.9 < low <= value <= high <= 1
    assert flagged(found, 'A classifier that sees only image size, borders and grey levels')
    assert flagged(found, 'The size of the images predicts class')
    assert not flagged(found, 'The kind of file predicts')
    assert flagged(found, 'Patients are not known')
    assert found.split_kind == 'by image' and np.isnan(found.association)


def test_where_nothing_tells_the_classes_apart_nothing_is_flagged(tmp_path, recipe):
    rows = []
    for i in range(120):
        write_image(tmp_path / f'{i}.png', 'left', i, size=30)
        rows.append({'path': f'{i}.png', 'label': 'ab'[i % 2], 'patient': i, 'source': i // 2 % 2})
    write_table(tmp_path / 'manifest.csv', rows)
    _, found = run(survey(tmp_path, recipe))
    for value, low, high in found.baselines.values():
        assert low - 0.05 < 0.5 < high + 0.05, value
    assert found.association == 0
    assert found.flags == ()


def test_a_source_that_predicts_the_class_is_flagged(tmp_path, recipe):
    rows = []
    for i in range(60):
        write_image(tmp_path / f'{i}.png', 'left', i, size=30)
        label = 'ab'[i % 2]
        source = 'x' if label == 'a' or i < 6 else 'y'
        rows.append({'path': f'{i}.png', 'label': label, 'patient': i, 'source': source})
    write_table(tmp_path / 'manifest.csv', rows)
    _, found = run(survey(tmp_path, recipe))
    # a: 30 in x; b: 3 in x, 27 in y. V = sqrt(27 * 30 / (33 * 30)) for such a table.
    assert found.association == pytest.approx(np.sqrt(27 * 30 / (33 * 30)))
    assert flagged(found, "Source predicts class (Cramér's V 0.90)")
    assert flagged(found, 'set "Method" under Splits to \'leave-source-out\'')
    assert flagged(found, "All images of 'a' come from one source, 'x'")
    assert not flagged(found, "All images of 'b'")


def test_association_by_hand():
    kinds = np.array(['x', 'x', 'y', 'y', ''])
    same = np.array([[1, 0], [1, 0], [0, 1], [0, 1], [1, 0]], dtype=bool)
    assert cramers_v(kinds, same) == pytest.approx(1)
    mixed = np.array([[1, 0], [0, 1], [1, 0], [0, 1], [1, 0]], dtype=bool)
    assert cramers_v(kinds, mixed) == pytest.approx(0)
    several = np.array([[1, 1], [0, 1], [1, 0], [0, 0], [1, 1]], dtype=bool)
    assert cramers_v(kinds, several) == pytest.approx(1), 'the second label is that of x'
    assert np.isnan(cramers_v(np.array(['x', 'x']), same[:2]))


def test_several_labels_are_counted_together(tmp_path, recipe):
    rows = []
    for i in range(60):
        write_image(tmp_path / f'{i}.png', 'left', i, size=30)
        rows.append({'path': f'{i}.png', 'label': ('a', 'b', 'a|b')[i % 3], 'patient': i})
    write_table(tmp_path / 'manifest.csv', rows)
    _, found = run(survey(tmp_path, recipe))
    assert found.cooccurrence.tolist() == [[40, 20], [20, 40]]
    assert found.truth.shape == (60, 2) and set(found.splits) == {'train', 'val', 'test'}
    assert set(found.baselines) == {'logistic regression', 'boosted trees'}


def test_what_stands_in_the_way_of_a_split_is_the_first_flag(folder, recipe):
    _, found = run(survey(folder, recipe.with_changes({'split.method': 'holdout'})))
    assert 'only 4 patients, beside those already held out; at least 5 are ' in found.flags[0]
    assert set(found.splits) == {''} and len(found.paths) == 24
    left = [d for d, t in zip(found.digests, found.truth, strict=True) if t[0]]
    _, found = run(survey(folder, recipe.with_changes({'data.exclude': left[:-1]})))
    assert found.excluded.sum() == 11 and 'split' in found.flags[0]
    with pytest.raises(DatasetError, match='neither a folder'):
        run(survey(folder / 'nowhere', recipe))


def test_images_of_unknown_patients_are_called_images(tmp_path, recipe):
    """As the reading list exports them, where some patients are known, or none."""
    for i in range(10):
        name = f'p00001-{i}.png' if i in (0, 2, 4) else f'{i}.png'
        write_image(tmp_path / 'tree' / 'ab'[i % 2] / name, 'left', i)
    _, found = run(survey(tmp_path / 'tree', recipe.with_changes({'split.test': 0.1})))
    assert found.flags[0].startswith("The class 'a' has only 5 images; at least 10 are needed to")
    assert flagged(found, 'Patients are not known') and not flagged(found, '5 patients')
    some = recipe.with_changes({'data.patient': r'^p(\d+)-'})
    _, found = run(survey(tmp_path / 'tree', some))
    assert found.flags[0].startswith("The class 'a' has 5 images, but some belong together")
    assert flagged(found, 'count as only 3') and flagged(found, 'Patients are not all known')
    assert flagged(found, "The class 'a' has only 5 images")


def test_it_can_be_closed_while_it_reads_and_while_it_computes(folder, recipe):
    steps = survey(folder, recipe)
    assert isinstance(next(steps), ReadingProgress)
    steps.close()
    seen = 0
    steps = survey(folder, recipe)
    for event in steps:
        seen += isinstance(event, ReadingProgress) and event.done == event.total
        if seen == 2:  # the first is the end of the reading
            break
    steps.close()
    assert seen == 2
