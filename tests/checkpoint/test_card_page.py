"""The page of a model says what makes its figures too good."""

from dataclasses import replace

from napari_cxr.checkpoint.card_page import card_markdown, headline


def test_near_duplicates_on_two_sides_are_said(card):
    counts = {'all': {'normal': {'train': 3, 'val': 1, 'test': 1}}}
    data = {'images': 5, 'split': 'by patient', 'counts': counts, 'divided_pairs': 2}
    assert 'separate 2 pairs of near-duplicates' in card_markdown(replace(card, data=data))
    assert 'near-duplicates' not in card_markdown(replace(card, data=data | {'divided_pairs': 0}))


def test_when_not_to_believe_it_stands_before_the_figures(card):
    told = card_markdown(replace(card, not_to_believe='Not on Mondays.'))
    assert told.index('## When not to believe it\n\nNot on Mondays.') < told.index('## Results')
    assert 'When not to believe it' not in card_markdown(replace(card, not_to_believe=''))


def test_means_over_folds_have_no_empty_columns_of_counts(card):
    figures = {'images': 4, 'sensitivity': [0.75, 0.5, 0.9]}
    counts = {'tp': 3, 'fp': 2, 'tn': 5, 'fn': 1}
    told = [
        card_markdown(
            replace(card, metrics={'model': {'all': {'images': 9, 'classes': {'normal': row}}}})
        )
        for row in (figures, figures | {'counts': counts})
    ]
    assert 'TP' not in told[0] and '| normal | 4 | 0.750 [0.500, 0.900] |' in told[0]
    assert '| 3 | 2 | 5 | 1 |' in told[1]


def test_of_one_finding_nothing_is_said_of_several(card):
    found = {'images': 10, 'patients': 10, 'macro_auc': [0.7, 0.6, 0.8]}
    one = replace(
        card,
        labels=('opacity',),
        multilabel=True,
        operating_points={},
        metrics={'measured_on': 'test', 'split': 'by patient', 'model': {'all': found}},
    )
    text = card_markdown(one)
    assert 'the probability of opacity (sigmoid)' in text
    assert '| all | 10 | AUC | 0.700 [0.600, 0.800] |' in text
    assert 'macro' not in text


def test_the_model_of_a_stopped_run_says_so_first(card):
    stopped = replace(card, metrics={}, data={'epoch': 3}, recipe={'epochs': 30})
    assert stopped.unfinished == 'epoch 3 of 30'
    said = 'from a run that was stopped or goes on, epoch 3 of 30; it was not measured'
    assert headline(stopped) == said
    assert f'**F{said[1:]}.**' in card_markdown(stopped)
    assert not replace(stopped, metrics=card.metrics).unfinished  # it has finished
    assert not replace(stopped, data={}).unfinished  # it comes from no run
