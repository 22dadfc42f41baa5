"""What the dock says of a result, and when."""

from dataclasses import replace

import pytest
from made_up_lungs import lung_field, made_up_answer
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QLabel, QWidget

from napari_cxr.plugin.classify.result_view import ResultView
from napari_cxr.plugin.classify.where_words import whose_lungs
from napari_cxr.plugin.classifying import LungShares


@pytest.fixture
def view(qtbot):
    view = ResultView('dark', 0.4)
    qtbot.addWidget(view)
    view.show()
    return view


@pytest.mark.parametrize('several', [False, True])
def test_probabilities_that_do_not_sum_to_one_are_explained(view, several):
    answer = made_up_answer()
    prediction = replace(answer.prediction, probabilities=(0.9, 0.4), several=several)
    view.show_answer(replace(answer, prediction=prediction), 'ill')
    assert view.bars.rows == [('ill', 0.9), ('well', 0.4)]
    assert view.apart.isHidden() is not several
    assert 'need not sum to 100 %' in view.apart.text()


def test_where_it_looked_with_what_an_even_map_would_have(view):
    view.show_answer(made_up_answer(), 'ill')
    assert view.looked.text().replace('\u00a0', ' ') == (
        '60 % of this heatmap lies in the lungs (50 % if it were even), 10 % at the edge (29 %). '
        'The lungs, with what of them lies behind the heart, were found by a network.'
    )
    view.heat.label.setCurrentText('well')
    assert 'heatmap of well is empty' in view.looked.text()


def test_edited_lungs_change_the_words_and_stay_with_the_class(view):
    view.show_answer(made_up_answer(), 'ill')
    view.show_lungs(LungShares((0.25, None), 0.125, 'network', edit=7))
    text = view.looked.text().replace('\u00a0', ' ')
    assert text.startswith('25 % of this heatmap lies in the lungs (12 % if it were even)')
    assert text.endswith('The lungs are as you edited them.')


def test_the_standard_outline_says_why():
    field = lung_field(source='atlas', implausible='one lung is missing')
    lungs = made_up_answer(field=field).lungs
    assert whose_lungs(lungs) == (
        'The lungs are the standard outline, because one lung is missing.'
    )


def test_a_warning_stands_alone_until_the_click(qtbot, view):
    answer = made_up_answer(kinds=['polarity', 'lossy', 'view'])
    view.hold_back(answer)
    text = view.warning.text.text()
    assert 'About polarity.\nAbout view.' in text and 'lossy' not in text
    assert view.warning.isVisible() and view.warning.anyway.isVisible()
    # Nowhere else is a word, neither on the screen nor to a screen reader.
    assert not any(label.isVisible() for label in view.shown.findChildren(QLabel) if label.text())
    assert not view.bars.isVisible() and view.bars.accessibleDescription() == ''
    everything = [w.accessibleDescription() + w.toolTip() for w in view.findChildren(QWidget)]
    assert not any('80' in text for text in everything)
    with qtbot.waitSignal(view.accepted):
        qtbot.mouseClick(view.warning.anyway, Qt.MouseButton.LeftButton)
    view.show_answer(answer, 'ill')
    assert view.bars.isVisible() and view.warning.isVisible()
    assert not view.warning.anyway.isVisible()
    assert view.warning.text.text() == 'About polarity.\nAbout view.'
    assert view.cautions.text() == '• About lossy.'


def test_nothing_to_warn_of(view):
    view.show_answer(made_up_answer(kinds=['lossy']), 'ill')
    assert not view.warning.isVisible() and view.cautions.isVisible()


def test_a_result_that_is_held_back_does_not_stay_behind(view):
    view.show_answer(made_up_answer(), 'ill')
    view.hold_back(made_up_answer(kinds=['view']))
    view.show_lungs(LungShares((0.25, None), 0.125, 'network'))
    assert view.bars.rows == [] and not view.looked.isVisible()
