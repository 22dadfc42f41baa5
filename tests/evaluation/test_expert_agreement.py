"""Heatmaps beside what experts marked: files, methods, and intervals."""

from dataclasses import replace

import imageio.v3 as iio
import numpy as np

from napari_cxr import samples
from napari_cxr.checkpoint.model_images import image_digest
from napari_cxr.evaluation.expert_agreement import (
    AgreementRow,
    find_marked,
    measure_agreement,
    summarise,
)
from napari_cxr.explain.expert_regions import (
    ExpertRegions,
    MarkedRegion,
    RegionAgreement,
    regions_path,
    regions_to_json,
)
from napari_cxr.inference.classifier import Classifier
from napari_cxr.radiograph import Radiograph


def marked(path, regions, digest=''):
    content = ExpertRegions(digest or image_digest(path), (90, 80), regions)
    regions_path(path).write_text(regions_to_json(content))


def test_images_are_found_by_what_they_hold(tmp_path):
    paths = [tmp_path / f'{name}.png' for name in ('good', 'changed', 'gone')]
    for path in paths:
        iio.imwrite(path, np.rint(255 * samples.phantom((90, 80))).astype(np.uint8))
        marked(path, (), digest='0' * 16 if path.stem == 'changed' else '')
    paths[2].unlink()
    (tmp_path / 'odd.regions.json').write_text('{')
    found, problems = find_marked(tmp_path)
    assert [path for path, _ in found] == paths[:1]
    assert len(problems) == 3
    assert any('has changed since' in each for each in problems)
    assert any('not beside it' in each for each in problems)


def test_methods_are_compared_on_the_labels_that_were_marked(model_file):
    classifier = Classifier.load(model_file, 'cpu')
    radiograph = Radiograph.from_array(samples.phantom((90, 80)).astype(np.float32))
    everywhere = (MarkedRegion('pneumonia', (0, 0, 89, 79)),)
    regions = ExpertRegions('a' * 16, (90, 80), everywhere)
    steps = measure_agreement(classifier, [(radiograph, regions)], ['Grad-CAM', 'EigenCAM'])
    while True:
        try:
            next(steps)
        except StopIteration as end:
            rows = end.value
            break
    assert {row.label for row in rows} == {'pneumonia'}
    assert 'EigenCAM' in {row.method for row in rows}
    assert all(row.found.hit and row.found.energy > 0.99 for row in rows)


def test_the_summary_by_hand():
    def row(method, image, hit, iou):
        return AgreementRow(image, '', 'a', method, RegionAgreement(hit, 0.2, iou, iou))

    rows = [row('worse', str(i), i < 2, 0.5) for i in range(10)]
    rows += [row('better', str(i), i < 8, None) for i in range(10)]
    better, worse = summarise(rows)
    assert (better.method, better.images, better.hit_rate.value) == ('better', 10, 0.8)
    # Clopper and Pearson for 8 of 10, as printed in tables.
    assert (round(better.hit_rate.low, 4), round(better.hit_rate.high, 4)) == (0.4439, 0.9748)
    assert better.iou is None and worse.iou.value == 0.5 and worse.hit_rate_by_chance == 0.2
    assert better.to_dict()['energy'] is None
    # Ten images of one patient are one patient.
    (same,) = summarise([replace(one, patient='p') for one in rows[10:]])
    assert same.images == 10 and same.hit_rate.value == 0.8
    assert same.hit_rate.high - same.hit_rate.low > 0.9 or np.isnan(same.hit_rate.low)
