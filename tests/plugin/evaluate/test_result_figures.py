"""Numbers of the Evaluate dock, and the images behind them."""

import math
from dataclasses import replace

import numpy as np
import pytest
from made_up_evaluation import evaluation

from napari_cxr.evaluation.evaluation_events import EvaluationResult
from napari_cxr.evaluation.evaluation_table import EvaluationTable
from napari_cxr.evaluation.metric_text import figure_text
from napari_cxr.plugin.evaluate.metrics_tables import group_rows, metric_rows
from napari_cxr.plugin.evaluate.result_figures import (
    confusion,
    first_class,
    paths_in_bin,
    paths_in_cell,
    rates_at,
    worth_headline,
    worth_sentence,
)


def by_hand():
    """Ten images: 4 with the finding, of which 3 are above .5; 6 without, of which 1 is."""
    scores = np.array([0.9, 0.8, 0.7, 0.2, 0.6, 0.1, 0.1, 0.3, 0.2, 0.4])
    truth = np.arange(10) < 4
    table = EvaluationTable(
        labels=('opacity',),
        multilabel=True,
        images=tuple(map(str, range(10))),
        paths=tuple(f'/{i}.png' for i in range(10)),
        truth=truth[:, None],
        patients=tuple(map(str, range(10))),
        splits=('',) * 10,
        probabilities={'m': scores[:, None]},
    )
    curves = {'opacity': {'reliability': {'x': [0.1, 0.2, 0.4, 0.6, 0.85]}}}
    metrics = {'models': {'m': {'curves': curves}}, 'labels': ['opacity']}
    return EvaluationResult(metrics, table, table)


def test_predictive_values_follow_the_prevalence():
    found = rates_at(by_hand(), 'm', 'opacity', 0.5, 0.4)
    assert (found.sensitivity.value, found.specificity.value) == pytest.approx((3 / 4, 5 / 6))
    # At the prevalence of these images: 3 of 4 called so have it, 5 of 6 others do not.
    assert (found.ppv, found.npv) == pytest.approx((3 / 4, 5 / 6))
    rare = rates_at(by_hand(), 'm', 'opacity', 0.5, 0.01)
    assert rare.ppv == pytest.approx(0.0075 / (0.0075 + 0.99 / 6))
    assert rates_at(by_hand(), 'm', 'opacity', 0.95, 0.4).ppv != rare.ppv
    assert math.isnan(rates_at(by_hand(), 'm', 'opacity', 0.95, 0.4).ppv)


def test_the_images_behind_a_cell_and_a_bin():
    result = by_hand()
    found = confusion(result, 'm', 'opacity', 0.5)
    assert found.rows == found.columns == ('opacity', 'no opacity')
    assert found.counts.tolist() == [[3, 1], [1, 5]]
    paths, title = paths_in_cell(result, 'm', 'opacity', 0.5, (0, 1))
    assert (paths, title) == (['/3.png'], 'opacity → no opacity')
    paths, title = paths_in_bin(result, 'm', 'opacity', 4)
    assert (sorted(paths), title) == (['/0.png', '/1.png'], 'p(opacity) from 0.800 to 0.900')
    # With one label for each image, the most probable class is predicted.
    single = evaluation()
    counts = confusion(single, 'good', 'opacity', 0.99).counts
    assert counts.tolist() == [[30, 0], [0, 30]]
    assert counts.tolist() == single.metrics['models']['good']['confusion']


def test_every_bin_is_one_of_the_curve():
    result = evaluation()
    curve = result.metrics['models']['poor']['curves']['opacity']['reliability']
    for number, (x, images) in enumerate(zip(curve['x'], curve['images'], strict=True)):
        paths, _ = paths_in_bin(result, 'poor', 'opacity', number)
        places = [int(path.split('/')[-1].partition('.')[0]) for path in paths]
        assert len(paths) == images
        scores = result.table.probabilities['poor'][places, 1]
        assert scores.mean() == pytest.approx(x, abs=1e-4)


def test_figures_are_written_with_their_intervals():
    assert figure_text({'value': 0.8534, 'interval': [0.8, 0.9]}) == '0.853 [0.800, 0.900]'
    assert (
        figure_text({'value': -0.5, 'interval': [-1, 0.5]}, signed=True)
        == '−0.500 [−1.000, +0.500]'
    )
    assert figure_text({'value': 0.5, 'interval': None}) == '0.500'
    assert figure_text({'value': None, 'interval': None}) == figure_text(None) == '–'


def test_a_table_shows_a_model_and_what_it_is_compared_with():
    metrics = evaluation().metrics
    titles, rows = metric_rows(metrics, '', 'good')
    assert titles == ('Metric', 'This model')
    assert rows[0] == ('AUC', figure_text(metrics['models']['good']['auc']))
    titles, rows = metric_rows(metrics, 'opacity', 'good', 'format only')
    assert titles == ('Metric', 'This model', 'The other')
    found = {row[0]: row[1:] for row in rows}
    own = metrics['models']['good']['classes']['opacity']['specificity']
    other = metrics['baselines']['format only']['classes']['opacity']['specificity']
    assert found['Specificity'] == (figure_text(own), f'{other["value"]:.3f}')


def test_a_table_has_a_row_for_each_group():
    metrics = evaluation().metrics
    titles, rows = group_rows(metrics, 'good', 'source', 'recall')
    figure = metrics['models']['good']['by']['source']['a']['recall']
    assert titles == ('Source', 'Images', 'Recall (sensitivity)')
    assert rows[0] == ('a', '32', figure_text(figure)) and rows[1][:2] == ('b', '28')


def test_the_first_class_is_one_that_is_there():
    result = evaluation()
    assert first_class(result) == 'opacity'  # and not 'normal', which comes first
    three = evaluation(labels=('covid', 'normal', 'pneumonia'), n=60)
    there = three.table.subset(~three.table.truth[:, 0])
    assert first_class(replace(three, table=there)) == 'pneumonia'
    alike = three.table.subset(three.table.truth[:, 1])
    assert first_class(replace(three, table=alike)) == 'covid'  # nothing can be told of any


def test_what_a_result_is_worth_is_one_sentence_after_another():
    metrics = evaluation().metrics
    assert worth_headline(metrics, 'good').startswith('AUC 1.000 [')
    text = worth_sentence(metrics, 'good')
    assert text.startswith('good, on 60 images')
    assert 'on 60 images, each counted as another patient.' in text
    assert 'A classifier that sees no anatomy reaches' in text and '(format only)' in text
