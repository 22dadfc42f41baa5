"""What the dock says of a result, and when."""

from dataclasses import replace

import pytest
from made_up_lungs import IN_RIGHT_LUNG, lung_field, made_up_answer
from qtpy.QtCore import Qt
from qtpy.QtGui import QColor
from qtpy.QtWidgets import QLabel, QWidget

from napari_cxr.correction import Correction
from napari_cxr.explain.heatmap_location import HeatmapLocation, MarkerFraction
from napari_cxr.inference.prediction import ImageWarning
from napari_cxr.plugin.classify.result_view import ResultView, ResultWarning, lungs_source_text
from napari_cxr.plugin.classify_job import HeatmapsByLungs


@pytest.fixture
def view(qtbot):
    view = ResultView('dark', 0.4)
    qtbot.addWidget(view)
    view.show()
    return view


@pytest.mark.parametrize('multilabel', [False, True])
def test_probabilities_that_do_not_sum_to_one_are_explained(view, multilabel):
    answer = made_up_answer()
    prediction = replace(answer.prediction, probabilities=(0.9, 0.4), multilabel=multilabel)
    view.show_answer(replace(answer, prediction=prediction), 'ill')
    assert view.bars.rows == [('ill', 0.9), ('well', 0.4)]
    assert list(view.bars.sides.values()) == (['above', 'below'] if multilabel else ['', ''])
    assert view.legend.isHidden() is not multilabel
    assert ('need not sum to 100 %' in view.legend.text()) is multilabel


def test_where_it_looked_with_what_an_even_map_would_have(view):
    view.show_answer(made_up_answer(), 'ill')
    assert view.peak.text() == 'The peak lies in the right lung.'
    assert view.looked.text().replace('\u00a0', ' ') == (
        '60 % of the area above half of the peak lies in the lungs (50 % of what the model sees '
        'is lung), 10 % of the heatmap at the edge (29 % if uniform). The lungs, including what '
        'lies behind the heart, were found by a network.'
    )
    view.heat.label.setCurrentText('well')
    assert 'heatmap of well is empty' in view.peak.text()
    assert view.looked.text().startswith('The lungs')


def test_a_heatmap_below_the_operating_point_says_so_and_one_on_markers_how_much(view):
    answer = made_up_answer()
    weak = replace(answer.heatmaps[0], label='well')
    answer = replace(
        answer,
        heatmaps=(answer.heatmaps[0], weak),
        edge_fractions=(0.1, 0.1),
        on_markers=(MarkerFraction(0.4, 0.02, 1), MarkerFraction(0.0, 0.0, 0)),
    )
    view.show_answer(answer, 'ill')
    text = view.remarks.text().replace('\u00a0', ' ')
    assert '40 % of the heatmap lies on text or markers (2 % if uniform).' in text
    assert 'little speaks' not in text
    view.heat.label.setCurrentText('well')
    text = view.remarks.text()
    assert text.startswith('well is not the most probable class') and 'markers' not in text


def test_a_peak_outside_the_lungs_stands_first_and_in_the_colour_of_warnings(view):
    answer = made_up_answer()
    away = HeatmapLocation((5.0, 70.0), 'beside the left lung', 0.81)
    view.show_answer(answer, 'ill')
    assert view.peak.objectName() == 'peak'
    view.show_lungs(replace(answer.lungs, locations=(away, None)))
    assert view.peak.text() == 'The peak lies outside the lungs, beside the left lung.'
    assert view.peak.objectName() == 'caution'
    inside = view.shown.layout()
    assert inside.indexOf(view.peak) < inside.indexOf(view.heat) < inside.indexOf(view.details)
    view.heat.label.setCurrentText('well')
    assert view.peak.objectName() == 'peak'


def test_no_class_stands_out_of_a_near_tie(view):
    answer = made_up_answer()
    tie = replace(answer.prediction, probabilities=(0.48, 0.52), least_margin=0.1)
    view.show_answer(replace(answer, prediction=tie), 'ill')
    assert view.headline.isVisible()
    assert view.headline.answer.text() == 'No class stands out'
    assert view.headline.why.text() == (
        'well and ill are 4 points apart, and this model needs 10 to name a class.'
    )
    view.show_answer(answer, 'ill')
    assert not view.headline.isVisible()


def test_edited_lungs_change_the_words_and_stay_with_the_class(view):
    view.show_answer(made_up_answer(), 'ill')
    quarter = replace(IN_RIGHT_LUNG, half_peak_lung_fraction=0.25)
    view.show_lungs(HeatmapsByLungs((quarter, None), 0.125, 'network', edit=7))
    text = view.looked.text().replace('\u00a0', ' ')
    assert text.startswith('25 % of the area above half of the peak lies in the lungs (12 %')
    assert text.endswith('The lungs are as you edited them.')


def test_the_standard_outline_says_why():
    field = lung_field(source='atlas', implausible='one lung is missing')
    lungs = made_up_answer(field=field).lungs
    assert lungs_source_text(lungs) == (
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
    view.show_lungs(HeatmapsByLungs((IN_RIGHT_LUNG, None), 0.125, 'network'))
    assert view.bars.rows == [] and not view.looked.isVisible()


# -- findings with thresholds ---------------------------------------------------------------


def of_findings(labels, probabilities, thresholds, negative='No finding', undecided=None, **more):
    answer = made_up_answer()
    prediction = replace(
        answer.prediction, labels=tuple(labels), probabilities=tuple(probabilities),
        logits=(0.0,) * len(labels), multilabel=True, thresholds=tuple(thresholds),
        negative=negative, undecided=undecided or {},
    )  # fmt: skip
    maps = tuple(replace(answer.heatmaps[0], label=label) for label in labels)
    shares = (0.5,) * len(labels)
    lungs = replace(answer.lungs, locations=(IN_RIGHT_LUNG,) * len(labels))
    return replace(
        answer, prediction=prediction, heatmaps=maps, edge_fractions=shares, lungs=lungs, **more
    )


def of_opacity(p, **more):
    band = {'opacity': [0.35, 0.6]}
    return of_findings(['opacity'], [p], [0.4], 'no opacity', band, **more)


@pytest.mark.parametrize(
    ('p', 'answer', 'word', 'why'),
    [
        (
            0.7,
            'opacity',
            'above',
            'The probability of opacity, 70 %, is above its threshold, 40 %.',
        ),
        (0.1, 'no opacity', 'below', 'is below its threshold, 40 %.'),
        (0.5, 'cannot say', 'undecided', 'lies between 35 % and 60 %, where this model does not'),
    ],
)
def test_one_finding_has_an_answer_and_a_reason(view, p, answer, word, why):
    view.show_answer(of_opacity(p), 'opacity')
    assert view.headline.isVisible() and view.headline.answer.text() == answer
    assert why in view.headline.why.text().replace('\u00a0', ' ')
    assert view.bars.sides == {'opacity': word}
    ((bar,),) = [group.rows for group in view.bars._groups]
    # One bar shows the probability as it is.
    assert (bar.length, bar.mark, bar.band) == (p, 0.4, (0.35, 0.6))
    legend = view.legend.text().replace('\u00a0', ' ')
    assert legend == ('▴ marks the threshold, 40 %. The model does not decide in the framed part.')


def test_classes_that_exclude_each_other_have_no_headline(view):
    view.show_answer(of_opacity(0.7), 'opacity')
    view.show_answer(made_up_answer(), 'ill')
    assert view.headline.isHidden() and view.bars.sides == {'ill': '', 'well': ''}


def test_a_result_that_is_held_back_says_no_answer(view):
    view.show_answer(of_opacity(0.7), 'opacity')
    answer = of_opacity(0.7)
    doubted = replace(answer.prediction, warnings=made_up_answer(['view']).prediction.warnings)
    view.hold_back(replace(answer, prediction=doubted))
    assert not view.headline.isVisible() and view.headline.answer.text() == ''


FINDINGS = (
    *('Atelectasis', 'Consolidation', 'Infiltration', 'Pneumothorax', 'Edema', 'Emphysema'),
    *('Fibrosis', 'Effusion', 'Pneumonia', 'Pleural_Thickening', 'Cardiomegaly', 'Nodule'),
    *('Mass', 'Hernia', 'Lung Lesion', 'Fracture', 'Lung Opacity', 'Enlarged Cardiomediastinum'),
)


def test_many_findings_stand_in_groups_the_furthest_above_first(view):
    p = dict.fromkeys(FINDINGS, 0.01) | {'Mass': 0.2, 'Effusion': 0.3, 'Nodule': 0.05}
    view.show_answer(of_findings(FINDINGS, p.values(), [0.1] * 18), 'Effusion')
    shown = [label for label, _ in view.bars.rows]
    assert set(shown) == set(FINDINGS) and len(shown) == 18
    assert shown[:2] == ['Effusion', 'Pneumothorax']  # both of the pleura
    assert view.bars.headings == [
        'Pleura', 'Nodule and mass', 'Airspace', 'Chronic', 'Heart and mediastinum', 'Bone',
    ]  # fmt: skip
    assert [label for label in shown if label in ('Nodule', 'Mass')] == ['Mass', 'Nodule']
    assert view.headline.answer.text() == 'Effusion, Mass'
    assert view.headline.why.text() == '2 of 18 findings are above their thresholds.'
    assert not view.legend.isHidden() and 'middle of each bar' in view.legend.text()
    heat = view.heat.label
    assert [heat.itemText(i) for i in range(heat.count())] == shown


def test_nothing_above_its_threshold(view):
    view.show_answer(of_findings(FINDINGS, [0.01] * 18, [0.1] * 18), 'Mass')
    assert view.headline.answer.text() == 'No finding'
    assert view.headline.why.text() == 'Nothing is above its threshold.'


def test_bars_of_several_findings_have_the_threshold_in_the_middle(view):
    view.show_answer(of_findings(['a', 'b'], [0.2, 0.55], [0.04, 0.5]), 'a')
    ((first, second),) = [group.rows for group in view.bars._groups]
    assert (first.label, second.label) == ('a', 'b')  # though b is the more probable
    assert first.mark == second.mark == 0.5
    assert first.length == pytest.approx(1 - 0.8 / 1.92)
    assert second.length == pytest.approx(1 - 0.45)
    assert first.tip.replace('\u00a0', ' ') == 'a: 20.0 %, above its threshold of 4.0 %.'
    assert view.bars.accessibleDescription() == 'a 20.0% above, b 55.0% above'


def test_any_finding_by_mouse_and_keyboard(qtbot, view):
    p = [0.01 * i for i in range(1, 19)]
    view.show_answer(of_findings(FINDINGS, p, [0.1] * 18), FINDINGS[-1])
    shown = [label for label, _ in view.bars.rows]
    for label in ('Fracture', 'Hernia', 'Nodule'):
        with qtbot.waitSignal(view.label_chosen) as told:
            place = view.bars.place_of(label).center().toPoint()
            qtbot.mouseClick(view.bars, Qt.MouseButton.LeftButton, pos=place)
        assert told.args == [label] and view.label == view.bars.current == label
    view.bars.setFocus()
    with qtbot.waitSignal(view.label_chosen) as told:
        qtbot.keyClick(view.bars, Qt.Key.Key_Home)
    assert told.args == [shown[0]]
    for key, at in ((Qt.Key.Key_Down, 1), (Qt.Key.Key_End, -1), (Qt.Key.Key_Up, -2)):
        with qtbot.waitSignal(view.label_chosen) as told:
            qtbot.keyClick(view.bars, key)
        assert told.args == [shown[at]]
    # A heading is no finding.
    row = view.bars.place_of(shown[0])
    with qtbot.assertNotEmitted(view.label_chosen):
        above = row.center().toPoint()
        above.setY(int(row.top()) - 4)
        qtbot.mouseClick(view.bars, Qt.MouseButton.LeftButton, pos=above)


def test_the_mark_is_painted_at_the_threshold(qtbot, view):
    view.show_answer(of_opacity(0.7), 'opacity')
    view.bars.setFixedWidth(416)  # the bar is 400 wide
    palette = view.bars.palette()
    palette.setColor(palette.ColorRole.Window, QColor('black'))
    view.bars.setPalette(palette)
    picture = view.bars.grab().toImage()
    ratio = picture.devicePixelRatio()
    row = view.bars.place_of('opacity')

    def light(x, y):
        return picture.pixelColor(int(x * ratio), int(y * ratio)).lightness()

    # Above the bar, beside its text: only the mark stands there.
    heights = range(int(row.top()), int(row.bottom()))
    at_mark = max(min(light(8 + 160 + dx, y) for dx in (-1, 0)) for y in heights)
    beside = max(light(8 + 160 + 12, y) for y in heights)
    assert at_mark > beside + 40


def test_a_demonstration_says_so_under_its_bars(qtbot, view):
    said = 'A demonstration, not to be believed: it saw <nine> images.'
    view.show_answer(replace(made_up_answer(), performance=said, demonstration=True), 'ill')
    assert view.demonstration.isVisible() and view.performance.isHidden()
    assert '&lt;nine&gt;' in view.demonstration.text()
    lines = view.shown.layout()
    assert lines.indexOf(view.demonstration) == lines.indexOf(view.legend) + 1
    with qtbot.waitSignal(view.card_wanted):
        view.demonstration.linkActivated.emit('card')
    view.show_answer(replace(made_up_answer(), performance='Macro AUC 0.7.'), 'ill')
    assert view.demonstration.isHidden() and view.performance.isVisible()


@pytest.mark.parametrize('width', [300, 400, 600])
def test_the_controls_do_not_move_with_what_is_said_of_the_peak(qtbot, view, width):
    answer = made_up_answer()
    view.resize(width, 700)
    view.show_answer(answer, 'ill')
    qtbot.waitUntil(lambda: view.heat.y() > view.peak.y() > 0)
    places = set()
    for region in ('right lung', 'beside the right lung', 'outside the lungs'):
        away = HeatmapLocation((5.0, 70.0), region, 0.5)
        view.show_lungs(replace(answer.lungs, locations=(away, None)))
        view.shown.layout().activate()
        places.add(view.heat.y())
        assert view.peak.height() >= view.peak.heightForWidth(view.peak.width())
    assert len(places) == 1


def test_classes_that_cannot_be_excluded_stand_below_the_answer(view):
    answer = made_up_answer()
    view.show_answer(answer, 'ill')
    assert view.headline.isHidden()
    sets = {'alpha': 0.1, 'thresholds': {'ill': 0.1, 'well': 0.1}, 'images': {}}
    prediction = replace(answer.prediction, probabilities=(0.8, 0.2), prediction_sets=sets)
    view.show_answer(replace(answer, prediction=prediction), 'ill')
    assert view.headline.possible.isVisible() and view.headline.answer.isHidden()
    assert 'At 90 %: ill or well.' in view.headline.possible.text()
    view.show_answer(answer, 'ill')
    assert view.headline.isHidden()


def test_a_warning_offers_what_would_answer_it(qtbot):
    warning = ResultWarning()
    qtbot.addWidget(warning)
    flipped = Correction(inverted=True, mirrored=True, turns=2)
    for remedy, text in (
        (flipped, 'Invert and flip top to bottom and classify again'),
        (Correction(turns=2), 'Turn upright and classify again'),
        (Correction(mirrored=True), 'Mirror and classify again'),
    ):
        warning.show_warnings([ImageWarning('mirrored', 'Look.', remedy)], ask=True)
        assert warning.correct.text() == text and not warning.correct.isHidden()
        with qtbot.waitSignal(warning.correction_wanted) as wanted:
            warning.correct.click()
        assert wanted.args == [remedy]
    warning.show_warnings([ImageWarning('view', 'A lateral view.')], ask=True)
    assert warning.correct.isHidden() and not warning.anyway.isHidden()
