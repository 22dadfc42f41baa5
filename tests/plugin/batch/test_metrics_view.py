"""Figures of each class can be read at any width of the dock."""

import pytest

from napari_cxr.plugin.batch.metrics_view import ClassMetricsTable, MetricsView

SHARE = [0.895, 0.686, 0.971]
PLAIN = {'images': 1200, 'auc': [0.5, None, None], 'sensitivity': SHARE, 'specificity': SHARE}
LABELS = ('covid19', 'normal', 'a finding with a very long name, longer than any dock')
CLASSES = dict.fromkeys(LABELS, PLAIN)
CALLED = {'called': {'sensitivity': [1.0, 0.9, 1.0], 'specificity': [None, None, None]}}


@pytest.fixture
def table(qtbot):
    table = ClassMetricsTable()
    qtbot.addWidget(table)
    table.show()
    return table


def shown(table):
    return [part for part in table.children() if getattr(part, 'isVisible', bool)()]


@pytest.mark.parametrize('width', [268, 320, 420, 600, 900])
@pytest.mark.parametrize('more', [{}, CALLED])
def test_no_figure_is_cut_and_none_stands_on_another(qtbot, table, width, more):
    table.show_metrics({label: {**found, **more} for label, found in CLASSES.items()})
    table.resize(width, table.heightForWidth(width) if table.hasHeightForWidth() else 600)
    qtbot.waitUntil(lambda: table.width() == width and len(shown(table)) >= 4 + 5 * len(LABELS))
    places = [part.geometry() for part in shown(table)]
    for i, (part, place) in enumerate(zip(shown(table), places, strict=True)):
        assert table.rect().contains(place)
        assert place.width() >= part.sizeHint().width()
        assert not any(place.intersects(other) for other in places[:i])


def height(part):
    return part.geometry().center().y()


def test_names_stand_above_their_figures_where_it_is_narrow_and_beside_them_else(qtbot, table):
    table.show_metrics(CLASSES)
    name, images, figures = table._lines[0]
    for width, beside in ((268, False), (900, True), (268, False)):
        table.resize(width, 400)
        qtbot.waitUntil(lambda: (abs(height(name) - height(figures[0])) < 4) is beside)  # noqa: B023
        assert abs(height(name) - height(images)) < 4
    assert table.minimumSizeHint().width() <= 268


def test_figures_of_a_decision_stand_below_those_of_the_class(table):
    table.show_metrics({'normal': {**PLAIN, **CALLED}, 'pneumonia': PLAIN})
    share = '0.895\n0.69–0.97'
    assert table.texts == [
        ['normal', '1,200', '0.500', share, share],
        ['by threshold', '', '', '1.000\n0.90–1.00', '–'],
        ['pneumonia', '1,200', '0.500', share, share],
    ]
    table.show_metrics({})
    assert table.texts == []


def test_what_could_not_be_measured_is_told_beside_the_figures(qtbot):
    view = MetricsView('dark')
    qtbot.addWidget(view)
    metrics = {'images': 9, 'patients': 9, 'classes': {}}
    view.show_metrics(metrics, ('tuberculosis', 'x'), LABELS, unmeasured=1234)
    assert view.unmeasured.text() == (
        'Left out: 1,234 images with a label the model does not know: tuberculosis and x.'
    )
    view.show_metrics({}, ('x',), LABELS, unmeasured=1, so_far=True)
    assert view.unmeasured.text().startswith('Left out: 1 image with a label')
    view.show_metrics(metrics, (), LABELS)
    assert view.unmeasured.isHidden()


@pytest.fixture
def view(qtbot):
    view = MetricsView('dark')
    qtbot.addWidget(view)
    view.show()
    return view


def show(view, **more):
    view.show_metrics(METRICS, (), ('normal', 'pneumonia'), **more)


METRICS = {
    'images': 40,
    'patients': 40,
    'few': {},
    'accuracy': [0.9, 0.8, 0.95],
    'classes': {'normal': PLAIN, 'pneumonia': PLAIN},
    'confusion': [[18, 2], [2, 18]],
}


def test_doubtful_images_are_named_with_a_box_that_includes_them(qtbot, view):
    show(view)
    assert view.doubtful.isHidden()
    show(view, doubtful=3)
    assert view.doubtful.isVisible() and view.doubtful.text() == 'Include 3 doubtful images'
    assert not view.doubtful.isChecked() and not view.counts_doubtful
    with qtbot.waitSignal(view.doubtful_wanted) as wanted:
        view.doubtful.click()
    assert wanted.args == [True]
    with qtbot.assertNotEmitted(view.doubtful_wanted):
        show(view, doubtful=3, doubtful_included=True)
    assert view.doubtful.isChecked() and view.counts_doubtful
    with qtbot.assertNotEmitted(view.doubtful_wanted):
        show(view, doubtful=1)
    assert not view.doubtful.isChecked() and view.doubtful.text() == 'Include 1 doubtful image'


def test_the_box_says_again_what_counts_after_a_computation_that_was_stopped(view):
    show(view, doubtful=3)
    view.doubtful.setChecked(True)
    view.show_measuring()
    view.offer_measuring(False, busy=True)
    assert not view.doubtful.isEnabled()
    view.restore()
    view.offer_measuring(False)
    assert view.doubtful.isEnabled() and not view.doubtful.isChecked()


def test_near_ties_are_counted_in_their_own_words(view):
    found = METRICS | {'cannot_say': {'images': 4, 'share': [0.1, 0.0, 0.2], 'decided': {}}}
    view.show_metrics(found, (), ('normal', 'pneumonia'), undecided='no class stands out')
    assert 'For 4 images (10 %) no class stands out;' in view.description.text()


def test_images_that_the_model_was_trained_on_are_said_first(view):
    show(view)
    assert view.seen.isHidden()
    of_others = {'macro_auc': [0.773, 0.71, 0.84], 'accuracy': [0.6, None, None]}
    unseen = {'trained_on': 171, 'validation': 40, 'images': 55, 'metrics': of_others}
    view.show_metrics(METRICS | {'unseen': unseen}, (), ('normal', 'pneumonia'))
    assert view.seen.text() == (
        'The model was trained on 171 and was selected by 40 of these images, so the metrics are '
        'too good. Of the other 55 images: Macro AUC 0.773 (95 %: 0.710–0.840), Accuracy 0.600.'
    )
    assert not view.seen.isHidden()
    unseen = {'trained_on': 6, 'validation': 0, 'images': 0, 'metrics': {}}
    view.show_metrics(METRICS | {'unseen': unseen}, (), ('normal', 'pneumonia'))
    assert view.seen.text().endswith('too good. There are no others.')
