"""A card says what it must, and a hostile one is refused."""

import json
from dataclasses import replace

import pytest

from napari_cxr.checkpoint import Card, CheckpointError
from napari_cxr.checkpoint.card_page import card_markdown, headline


def changed(card, **entries):
    return json.dumps({**json.loads(card.to_json()), **entries})


def test_json_and_back(card):
    assert Card.from_json(card.to_json()) == card


@pytest.mark.parametrize(
    ('entries', 'named'),
    [
        ({'name': '../../etc/passwd'}, "'name'"),
        ({'name': 7}, "'name'"),
        ({'title': 'red \x1b[31m'}, "'title'"),
        ({'title': 'abc\u202edcb'}, "'title'"),
        ({'title': 'x' * 5000}, "'title'"),
        ({'architecture': ''}, "'architecture'"),
        ({'labels': ['a', 'a']}, "'labels'"),
        ({'labels': ['a']}, "'labels'"),
        ({'labels': 'ab'}, "'labels'"),
        ({'labels': ['a', 3]}, "'labels'"),
        ({'labels': [str(i) for i in range(2000)]}, "'labels'"),
        ({'channels': 2}, "'channels'"),
        ({'channels': True}, "'channels'"),
        ({'channels': 3}, "'preprocessing'"),
        ({'preprocessing': {'height': 10**9, 'width': 64}}, "'preprocessing'"),
        ({'preprocessing': {'width': 64}}, "'preprocessing'"),
        ({'preprocessing': [1]}, "'preprocessing'"),
        ({'temperature': 0}, "'temperature'"),
        ({'temperature': '1'}, "'temperature'"),
        ({'operating_points': {'lungs': {'Youden': 0.5}}}, "'operating_points'"),
        ({'operating_points': {'covid19': {'Youden': 1.5}}}, "'operating_points'"),
        ({'several': 1}, "'several'"),
        ({'several': True, 'labels': []}, "'labels'"),
        ({'several': True, 'negative': 'Normal'}, "'negative'"),
        ({'several': True, 'negative': 3}, "'negative'"),
        ({'negative': 'nothing'}, "'negative'"),
        ({'several': True, 'decision': 'Youden'}, "'decision'"),
        ({'decision': 'sensitivity 0.95'}, "'decision'"),
        ({'several': True, 'undecided': {'lungs': [0.1, 0.2]}}, "'undecided'"),
        ({'several': True, 'undecided': {'normal': [0.3, 0.2]}}, "'undecided'"),
        ({'several': True, 'undecided': {'normal': [0.3, 1.2]}}, "'undecided'"),
        ({'several': True, 'undecided': {'normal': [-0.1, 0.2]}}, "'undecided'"),
        ({'several': True, 'undecided': {'normal': [0.1]}}, "'undecided'"),
        ({'several': True, 'undecided': {'normal': [False, True]}}, "'undecided'"),
        ({'several': True, 'undecided': [0.1, 0.2]}, "'undecided'"),
        ({'undecided': {'normal': [0.1, 0.2]}}, "'undecided'"),
        ({'least_margin': 1.5}, "'least_margin'"),
        ({'least_margin': 'a lot'}, "'least_margin'"),
        ({'several': True, 'least_margin': 0.1}, "'least_margin'"),
        ({'demonstration': None}, "'demonstration'"),
        ({'head': {'kind': 'huge'}}, "'head'"),
        ({'head': {'kind': 'average', 'hidden': [10**9]}}, "'head'"),
        ({'head': {'kind': 'average', 'hidden': [8] * 1000}}, "'head'"),
        ({'head': {'dropout': 1}}, "'head'"),
        ({'head': {'single': True}, 'several': True}, "'head'"),
        ({'head': {'single': True}, 'labels': ['a', 'b', 'c']}, "'head'"),
        ({'head': {'layers': 3}}, "'head'"),
        ({'licence': None}, "'licence'"),
        ({'__class__': 'os.system'}, 'unknown entries'),
        ({'form': 99}, 'newer version'),
        ({'form': None}, 'format version'),
    ],
)
def test_what_is_wrong_is_named(card, entries, named):
    with pytest.raises(CheckpointError, match=named):
        Card.from_json(changed(card, **entries))


@pytest.mark.parametrize(
    'text',
    [
        '',
        '[]',
        '{"form": 1}',
        '{"form": 1, "name": "a"',
        '[' * 100_000,
        '{"form": 1, "temperature": NaN}',
        ' ' * (1 << 21),
    ],
)
def test_what_is_no_card_is_refused(text):
    with pytest.raises(CheckpointError):
        Card.from_json(text)


def test_a_card_of_the_first_form_is_read(card):
    entries = json.loads(card.to_json())
    assert entries.pop('form') == 2
    for name in ('negative', 'decision', 'undecided', 'demonstration'):
        del entries[name]
    assert Card.from_json(json.dumps({'form': 1, **entries})) == card


def test_one_label_is_enough_where_an_image_can_have_several(card):
    one = Card.from_json(
        changed(
            card,
            labels=['opacity'],
            several=True,
            operating_points={'opacity': {'Youden': 0.31}},
            decision='Youden',
            undecided={'opacity': [0.2, 0.5]},
            demonstration='It is a demonstration, because it saw nine images.',
        )
    )
    assert Card.from_json(one.to_json()) == one
    assert one.thresholds == (0.31,) and one.negative_label == 'no opacity'
    page = card_markdown(one)
    assert '**It is a demonstration, because it saw nine images.**' in page
    assert headline(one) == 'It is a demonstration, because it saw nine images.'
    assert 'reaches its threshold (operating point "Youden")' in page
    assert 'the label is "no opacity"' in page
    assert '| label | threshold | cannot say between |' in page
    assert '| opacity | 0.31 | 0.2 and 0.5 |' in page


def test_what_is_said_where_nothing_is_found_can_be_chosen(card):
    several = Card.from_json(changed(card, several=True))
    assert several.negative_label == 'No finding' and several.thresholds == (0.5, 0.5)
    assert '| covid19 | 0.5 |' in card_markdown(several)
    chosen = Card.from_json(changed(card, several=True, negative='nothing of these'))
    assert chosen.negative_label == 'nothing of these'
    assert card.negative_label == '' and card.thresholds == ()
    assert 'threshold' not in card_markdown(card)


def test_tables_may_not_be_bottomless(card):
    deep = {}
    for _ in range(50):
        deep = {'a': deep}
    with pytest.raises(CheckpointError, match="'metrics'"):
        Card.from_json(changed(card, metrics=deep))


def test_a_card_without_an_entry_says_which(card):
    entries = json.loads(card.to_json())
    del entries['labels'], entries['channels']
    with pytest.raises(CheckpointError, match='lacks labels, channels'):
        Card.from_json(json.dumps(entries))


def test_the_page_shows_figures_beside_the_baseline(card):
    figures = {
        'images': 9,
        'accuracy': [0.9, 0.8, 0.95],
        'balanced_accuracy': [0.9, 0.9, 0.9],
        'macro_auc': [None, None, None],
        'classes': {'covid19': {'images': 4, 'sensitivity': [1.0, 0.5, 1.0]}},
        'confusion': [[4, 0], [1, 4]],
    }
    entries = {
        'measured_on': 'test',
        'split': 'by patient',
        'most_frequent_class': 0.556,
        'model': {'all': figures, 'nih': figures},
        'baselines': {
            'format only': {'all': {'accuracy': [0.4, 0.3, 0.5]}, 'nih': {}},
            'format and grey levels': {'all': {'accuracy': [0.6, 0.5, 0.7]}, 'nih': {}},
        },
    }
    data = {
        'images': 30,
        'patients': 12,
        'split': 'by patient',
        'counts': {'nih': {'normal': {'train': 20, 'test': 5}}},
    }
    page = card_markdown(Card.from_json(changed(card, metrics=entries, data=data)))
    assert '**Research and demonstration only, not for clinical use.**' in page
    assert '| source | images | metric | model | format only | format and grey levels |' in page
    row = '| all | 9 | accuracy | 0.900 [0.800, 0.950] | 0.400 [0.300, 0.500] |'
    assert f'{row} 0.600 [0.500, 0.700] |' in page
    assert '| nih | 9 | accuracy | 0.900 [0.800, 0.950] | - | - |' in page
    assert 'no-anatomy baselines, classifiers' in page
    # With images of one class only there is no area, and balanced accuracy says nothing new.
    assert 'macro AUC' not in page
    assert 'balanced accuracy' not in page
    assert '| nih | normal | 20 | 0 | 5 |' in page
    assert '| normal | 1 | 4 |' in page
    assert '- Anything.' in page
    assert '0.556' in page


def test_a_page_can_be_made_of_any_card_that_is_accepted(card):
    for metrics in ({'model': 3}, {'model': {'all': {}}}, {'model': {}}, {}):
        assert card.name in card_markdown(Card.from_json(changed(card, metrics=metrics)))


def test_a_head_and_several_labels_come_back(card):
    head = {'kind': 'average', 'hidden': [64], 'dropout': 0.3, 'single': True}
    again = Card.from_json(changed(card, head=head, operating_points={}))
    assert (again.head, again.multilabel) == (head, False)
    assert '(softmax)' in card_markdown(again)
    again = Card.from_json(changed(card, several=True))
    assert again.multilabel and again.head == {}
    page = card_markdown(again)
    assert 'independent probabilities (sigmoid)' in page


def test_the_page_of_several_labels_has_no_confusion_matrix(card):
    figures = {
        'images': 9,
        'accuracy': [0.9, 0.8, 0.95],
        'classes': {'covid19': {'images': 4, 'counts': {'tp': 3, 'fp': 2, 'tn': 5, 'fn': 1}}},
    }
    metrics = {'model': {'all': figures}, 'most_frequent_class': 0.6}
    page = card_markdown(Card.from_json(changed(card, metrics=metrics, several=True)))
    assert 'true label, then predicted' not in page
    assert '| covid19 | 4 | - | - | - | - | - | - | 3 | 2 | 5 | 1 |' in page
    assert 'right in 0.600 of the answers' in page


def test_the_page_says_what_kerass_area_is(card):
    figures = {'images': 9, 'macro_auc': [0.5, 0.4, 0.6], 'keras_auc': [0.81, 0.8, 0.82]}
    page = card_markdown(Card.from_json(changed(card, metrics={'model': {'all': figures}})))
    assert '| all | 9 | macro AUC | 0.500 [0.400, 0.600] |' in page
    assert '| all | 9 | AUC (all columns, Keras) | 0.810 [0.800, 0.820] |' in page
    assert 'is not the AUC of one class' in page


def of_folds(**more):
    figures = {
        'images': 9,
        'folds': 2,
        'accuracy': [0.6, 0.5, 0.7],
        'balanced_accuracy': [0.5, 0.4, 0.6],
        'macro_auc': [0.7, 0.6, 0.8],
        'classes': {'covid19': {'images': 4}, 'normal': {'images': 5}},
        'pairs': {'normal against covid19': [0.8, 0.7, 0.9]},
    }
    baseline = figures | {'macro_auc': [0.65, 0.6, 0.7], 'pairs': {}}
    difference = {'macro_auc': [0.05, -0.01, 0.1], 'pairs': {}}
    every = {
        'model': {'all': figures},
        'baselines': {'format only': {'all': baseline}},
        'differences': {'format only': {'all': difference}},
    }
    fold = {'sources': ['nih', 'hannover'], **every}
    fold['model'] = {'all': {'images': 5, 'macro_auc': [0.75, 0.7, 0.8], 'confusion': [[1, 2]]}}
    return {
        'measured_on': 'sources left out',
        'split': 'by patient',
        'folds': 2,
        'averaged': True,
        **every,
        'by_fold': {'without-nih-hannover': fold},
        **more,
    }


def test_the_page_of_what_learnt_from_all_images_tells_of_its_folds(card):
    whole = Card.from_json(changed(card, metrics=of_folds()))
    page = card_markdown(whole)
    assert 'On sources left out, by patient, with 95 % intervals.' in page
    assert (
        'metrics of 2 other models trained with the same recipe' in page
        and 'mean over the folds' in page
    )
    assert '| source | images | metric | model | format only | model − format only |' in page
    row = '| all | 9 | macro AUC | 0.700 [0.600, 0.800] | 0.650 [0.600, 0.700] |'
    assert f'{row} 0.050 [-0.010, 0.100] |' in page
    assert '| all | 9 | AUC, normal against covid19 | 0.800 [0.700, 0.900] | - | - |' in page
    assert '### Left out in without-nih-hannover: nih, hannover' in page
    fold = page.partition('### Left out')[2]
    assert '| all | 5 | macro AUC | 0.750 [0.700, 0.800] |' in fold
    assert '| covid19 | 1 | 2 |' in fold
    pooled = Card.from_json(changed(card, metrics=of_folds(averaged=False)))
    assert 'Each image counts once' in card_markdown(pooled)


def test_a_headline_is_one_line_with_the_baseline(card):
    whole = Card.from_json(changed(card, metrics=of_folds()))
    assert headline(whole) == (
        'macro AUC 0.700 [0.600, 0.800] on sources left out (mean of 2 folds), against 0.650 '
        'for a classifier that sees no anatomy'
    )
    plain = {'measured_on': 'test', 'model': {'all': {'accuracy': [0.9, None, None]}}}
    plain = Card.from_json(changed(card, metrics=plain))
    assert headline(plain) == 'accuracy 0.900 on the test split'
    for metrics in ({}, {'model': 3}, {'model': {'all': {'macro_auc': 'x'}}, 'by_fold': [1]}):
        odd = Card.from_json(changed(card, metrics=metrics))
        assert headline(odd) == '' and card_markdown(odd)


def test_a_card_without_a_margin_has_a_tenth(card):
    assert card.least_margin is None and card.margin == 0.1
    assert 'least_margin' not in card.to_dict()
    assert '10 percentage points (the default) more probable' in card_markdown(card)
    own = replace(card, least_margin=0.25)
    assert Card.from_json(own.to_json()) == own and own.margin == 0.25
    assert '25 percentage points more probable' in card_markdown(own)
    assert 'What it answers' not in card_markdown(replace(card, least_margin=0))
    several = replace(card, multilabel=True)
    assert several.margin == 0
