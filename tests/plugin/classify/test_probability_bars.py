"""Every finding of public models has its group."""

import pytest

from napari_cxr.plugin.classify.probability_bars import FINDING_GROUPS, OTHER_FINDINGS, group_of


@pytest.mark.parametrize(
    ('finding', 'group'),
    [
        ('Lung Opacity', 'Airspace'),
        ('opacity', 'Airspace'),
        ('Pleural_Thickening', 'Pleura'),
        ('Pneumothorax', 'Pleura'),
        ('Enlarged Cardiomediastinum', 'Heart and mediastinum'),
        ('Lung Lesion', 'Nodule and mass'),
        ('Emphysema', 'Chronic'),
        ('Fracture', 'Bone'),
        ('Support Devices', OTHER_FINDINGS),
    ],
)
def test_groups(finding, group):
    assert group_of(finding) == group


def test_each_finding_of_torchxrayvision_has_a_group():
    library = pytest.importorskip('torchxrayvision')
    assert OTHER_FINDINGS not in map(group_of, library.datasets.default_pathologies)


def test_no_finding_stands_in_two_groups():
    names = [name for found in FINDING_GROUPS.values() for name in found]
    assert len(names) == len(set(names))
