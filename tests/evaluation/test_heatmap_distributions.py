from dataclasses import replace

import numpy as np
import pytest

from napari_cxr.evaluation.evaluation_table import (
    HEATMAP_MEASURES,
    predictions_text,
    read_predictions,
)
from napari_cxr.evaluation.heatmap_distributions import (
    heatmap_distributions,
    heatmap_distributions_of,
)
from napari_cxr.scoring.score_row import ScoreRow


def row(number, hit, share, marker=None):
    return ScoreRow(
        number,
        f'{number}.png',
        'scored',
        peak_in_lung=hit,
        half_peak_lung_fraction=share,
        lung_share=share / 2,
        lung_share_if_even=0.4,
        frame_share=0.1,
        marker_fraction=marker,
        marker_fraction_uniform=None if marker is None else 0.02,
    )


def test_distributions_by_hand():
    rows = [row(0, True, 0.8, 0.1), row(1, True, 0.6, 0.0), row(2, False, 0.1), row(3, True, 0.9)]
    found = heatmap_distributions([*rows, ScoreRow(4, 'x', 'error')], list('abcde'))
    assert found.images == 4 and found.peak_in_lung.value == 0.75
    # Clopper and Pearson for 3 of 4.
    assert (round(found.peak_in_lung.low, 3), round(found.peak_in_lung.high, 3)) == (0.194, 0.994)
    by_name = {one.name: one for one in found.measures}
    half = by_name['half_peak_lung_fraction']
    assert half.mean.value == pytest.approx(0.6) and half.uniform == pytest.approx(0.4)
    assert half.lift.value == pytest.approx(1.5) and sum(half.counts) == 4
    assert half.counts[2] == half.counts[18] == 1
    assert by_name['frame_share'].lift.value == pytest.approx(0.1 / (1 - 0.84**2))
    markers = by_name['marker_fraction']
    assert (sum(markers.counts), markers.lift.value) == (2, pytest.approx(2.5))
    assert found.to_dict()['measures']['lung_share']['mean'][0] == 0.3


def test_rows_without_heatmaps_have_none():
    assert heatmap_distributions([ScoreRow(0, 'x', 'scored')], ['a']) is None


def test_distributions_of_an_evaluation_are_those_of_its_rows(table_of, tmp_path):
    rows = [row(0, True, 0.8, 0.1), row(1, True, 0.6, 0.0), row(2, False, 0.1), row(3, True, 0.9)]
    p = [[0.9, 0.1], [0.2, 0.8], [0.7, 0.3], [0.4, 0.6]]
    table = table_of('ab', ['a', 'b', 'a', 'b'], {'m': p}, patients='abcd')
    values = [[getattr(one, name) for name in HEATMAP_MEASURES] for one in rows]
    table = replace(table, heatmaps={'m': np.array(values, dtype=float)})
    found = heatmap_distributions_of(table, 'm')
    assert found.to_dict() == heatmap_distributions(rows, list('abcd')).to_dict()
    assert heatmap_distributions_of(table, 'other') is None
    (tmp_path / 'p.csv').write_text(predictions_text(table))
    back = read_predictions(tmp_path / 'p.csv', 'ab', ['m'], multilabel=False)
    np.testing.assert_array_equal(back.heatmaps['m'], table.heatmaps['m'])
    assert heatmap_distributions_of(back.subset([0, 2]), 'm').peak_in_lung.value == 0.5


def test_the_lift_is_by_chance_and_unknown_without_lungs():
    assert row(0, True, 0.8).half_peak_lung_lift == pytest.approx(2)
    assert replace(row(0, True, 0.8), lung_share_if_even=0).half_peak_lung_lift is None
    assert ScoreRow(0, 'x', 'scored').half_peak_lung_lift is None
