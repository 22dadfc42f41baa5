"""The panel of a data set, driven with mouse and keyboard."""

import time

import numpy as np
import pytest
from made_up_survey import extreme, survey
from qtpy.QtCore import QPoint, Qt
from qtpy.QtGui import QGuiApplication
from qtpy.QtWidgets import QFrame, QLabel, QLineEdit, QScrollArea

from napari_cxr.plugin.train.data_panel import DataPanel

LEFT = Qt.MouseButton.LeftButton
WAIT = 150_000


@pytest.fixture
def panel(qtbot):
    made = DataPanel('dark')
    qtbot.addWidget(made)
    made.resize(420, 3000)
    made.show()
    return made


@pytest.fixture
def heard(panel):
    """What the panel says to whoever owns it."""
    said = []
    panel.excluded.connect(lambda digests, out: said.append(('excluded', digests, out)))
    panel.grouped.connect(lambda *pair: said.append(('grouped', *pair)))
    panel.image_opened.connect(lambda path: said.append(('opened', path)))
    panel.pair_opened.connect(lambda *paths: said.append(('pair', *paths)))
    return said


def small(**changes):
    return survey(per_class=(20, 30, 10), pairs=3, **changes)


def row_of(panel, place):
    """The centre of an image's row in the table's viewport."""
    images = panel.images
    index = images.proxy.mapFromSource(images.model.index(place, 0))
    images.table.scrollTo(index)
    return images.table.visualRect(index).center()


def click(qtbot, panel, place, modifier=Qt.KeyboardModifier.NoModifier):
    qtbot.mouseClick(panel.images.table.viewport(), LEFT, modifier, row_of(panel, place))


def cautions(panel):
    found = [label for label in panel.findChildren(QLabel) if label.objectName() == 'caution']
    return [label.text() for label in found]


# -- what is shown -------------------------------------------------------------------------


def test_without_images_it_says_what_to_do(panel):
    assert 'one sub-folder for each class' in panel.empty.text() and panel.empty.isVisible()
    assert not any(section.isVisible() for section in panel.sections.values())


def test_a_survey_fills_every_part(panel):
    panel.show_survey(survey())
    assert panel.empty.isHidden()
    shown = {key for key, section in panel.sections.items() if section.isVisible()}
    assert shown == set(panel.sections) - {'together', 'skipped'}
    assert [panel.classes.topLevelItem(i).text(5) for i in range(4)] == [
        '561',
        '1\u2009341',
        '551',
        '2\u2009453',
    ]
    assert cautions(panel) == list(survey().flags)
    assert '0.97 before' in panel.to_beat.text() and panel.baselines.isVisible()
    assert panel.by_source.flags.sum() == 3
    assert len(panel.grey.lines) == 3


def test_splits_by_image_are_warned_of(panel):
    panel.show_survey(small(split_kind='by image', flags=()))
    assert len(cautions(panel)) == 1 and 'by image' in cautions(panel)[0]


def test_a_warning_is_given_once(panel):
    flag = 'The split is by image.'
    panel.show_survey(small(split_kind='by image', flags=(flag, flag)))
    assert cautions(panel) == [flag]


def test_a_folder_without_a_usable_image_is_shown_too(panel):
    panel.show_survey(
        survey(per_class=(0, 0, 0), pairs=0, skipped=[('a.png', 'It is cut off.')], flags=())
    )
    panel.grab()
    assert panel.images.model.rowCount() == 0 and panel.sections['skipped'].isVisible()


def test_several_labels_show_which_stand_together(panel):
    panel.show_survey(small(multilabel=True))
    assert panel.sections['together'].isVisible()
    counts = panel.together.values
    np.testing.assert_array_equal(counts, counts.T)
    assert counts.trace() > 60  # images count for each of their labels


def test_skipped_files_can_be_copied(qtbot, panel):
    panel.show_survey(small(skipped=[('a/1.png', 'It is cut off.'), ('b.dcm', 'It is empty.')]))
    qtbot.mouseClick(panel.sections['skipped'].button, LEFT)
    qtbot.mouseClick(panel.skipped.copy, LEFT)
    assert QGuiApplication.clipboard().text() == 'a/1.png\tIt is cut off.\nb.dcm\tIt is empty.'


def test_few_images_have_no_baseline(panel):
    panel.show_survey(small(baselines={}))
    assert 'too few images' in panel.to_beat.text() and panel.baselines.isHidden()


def test_images_that_cannot_be_divided_are_counted_but_not_by_split(panel):
    panel.show_survey(small(splits=('',) * 60, flags=('Too few.',), excluded=(0,)))
    assert panel.sections['counts'].summary.text() == 'cannot be split'
    columns = range(panel.classes.columnCount())
    assert [panel.classes.isColumnHidden(i) for i in columns] == [False, *[True] * 3, *[False] * 2]
    rows = [panel.classes.topLevelItem(i) for i in range(4)]
    assert [row.text(4) for row in rows] == ['1', '0', '0', '1']
    assert [row.text(5) for row in rows] == ['20', '30', '10', '60']
    assert panel.by_source.values.sum(axis=0).tolist() == [19, 30, 10]
    panel.show_survey(small())
    assert [panel.classes.isColumnHidden(i) for i in columns] == [*[False] * 4, True, False]


def test_parts_fold_by_key_and_stay_so(qtbot, panel):
    panel.show_survey(small())
    section = panel.sections['sources']
    qtbot.keyClick(section.button, Qt.Key.Key_Space)
    assert not section.is_open and not panel.by_source.isVisible()
    panel.show_survey(small())
    assert not panel.by_source.isVisible()


def test_clearing_takes_everything_away(panel):
    panel.show_survey(small())
    panel.clear()
    assert panel.survey is None and panel.empty.isVisible() and not cautions(panel)
    assert panel.images.model.rowCount() == 0 and panel.pairs.model.rowCount() == 0


@pytest.mark.parametrize('width', [300, 420, 900])
@pytest.mark.parametrize('make', [survey, extreme], ids=['usual', 'extreme'])
def test_nothing_is_clipped(qtbot, make, width):
    panel = DataPanel('dark')
    panel.show_survey(make())
    panel.show_samples(np.zeros((3, 2, 20, 20), np.uint8))
    panel.set_theme('light')
    for section in panel.sections.values():
        section.set_open(True)
    scroll = QScrollArea()
    qtbot.addWidget(scroll)
    scroll.setWidgetResizable(True)
    scroll.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
    scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
    scroll.setFrameShape(QFrame.Shape.NoFrame)
    scroll.setWidget(panel)
    scroll.resize(width, 800)
    scroll.show()
    qtbot.waitUntil(lambda: panel.width() == width, timeout=WAIT)
    qtbot.wait(20)
    assert panel.minimumSizeHint().width() <= 300
    for widget in panel.findChildren(QLabel) + panel.findChildren(QLineEdit):
        if widget.isVisibleTo(panel):
            right = widget.mapTo(panel, QPoint(widget.width(), 0)).x()
            assert right <= width, widget.text()
            if isinstance(widget, QLabel) and widget.wordWrap():
                assert widget.height() >= widget.heightForWidth(widget.width()) - 1
    panel.grab()


# -- leaving out ---------------------------------------------------------------------------


def test_leave_out_and_undo(qtbot, panel, heard):
    panel.show_survey(small())
    click(qtbot, panel, 2)
    click(qtbot, panel, 4, Qt.KeyboardModifier.ShiftModifier)
    digests = [panel.survey.digests[i] for i in (2, 3, 4)]
    qtbot.mouseClick(panel.images.leave, LEFT)
    assert heard == [('excluded', digests, True)]
    assert panel.images.model.data(
        panel.images.model.index(3, 0), Qt.ItemDataRole.FontRole
    ).strikeOut()
    assert panel.classes.topLevelItem(0).text(4) == '3'
    assert panel.sections['images'].summary.text() == '3 left out'
    assert not panel.images.leave.isEnabled() and panel.images.include.isEnabled()
    qtbot.mouseClick(panel.images.undo, LEFT)
    assert heard[1:] == [('excluded', digests, False)]
    assert not panel.images.undo.isEnabled()
    assert (
        panel.images.model.data(panel.images.model.index(3, 0), Qt.ItemDataRole.FontRole) is None
    )


def test_delete_leaves_out_and_takes_back(qtbot, panel, heard):
    panel.show_survey(small())
    click(qtbot, panel, 7)
    for _ in range(2):
        qtbot.keyClick(panel.images.table, Qt.Key.Key_Delete)
    digest = panel.survey.digests[7]
    assert heard == [('excluded', [digest], True), ('excluded', [digest], False)]


def test_only_what_changes_is_said(qtbot, panel, heard):
    panel.show_survey(small(excluded=(1,)))
    click(qtbot, panel, 0)
    click(qtbot, panel, 1, Qt.KeyboardModifier.ControlModifier)
    qtbot.keyClick(panel.images.table, Qt.Key.Key_Delete)
    assert heard == [('excluded', [panel.survey.digests[0]], True)]


def test_two_files_alike_to_the_byte_go_together(panel, heard):
    made = small()
    same = (made.digests[0], *made.digests[:-1])
    panel.show_survey(small(digests=same))
    panel.images.select(0)
    panel.images.leave.click()
    assert panel.images.model.is_out(1) and heard == [('excluded', [same[0]], True)]


def test_a_new_look_keeps_what_a_person_does(qtbot, panel, heard):
    """A survey that began before the click does not take it back; the next one may."""
    panel.show_survey(small())
    panel.images.set_filter('class=normal')
    panel.images.select(25)
    panel.images.leave.click()
    panel.show_survey(small())  # it knows nothing of the click yet
    model = panel.images.model
    assert model.is_out(25) and panel.images.selected == [25]
    assert panel.images.filter.text() == 'class=normal' and panel.images.undo.isEnabled()
    panel.show_survey(small(excluded=(25,)))
    assert model.is_out(25)
    panel.show_survey(small())  # the recipe was set back
    assert not model.is_out(25)
    assert len(heard) == 1  # what surveys say is not said again


def test_another_data_set_starts_anew(panel):
    panel.show_survey(small())
    panel.images.select(3)
    panel.images.leave.click()
    panel.show_survey(survey(per_class=(5, 5, 5), pairs=0))
    assert not panel.images.undo.isEnabled() and not panel.images.model.is_out(3)


# -- the list ------------------------------------------------------------------------------


def test_the_filter_looks_in_columns_and_phrases(qtbot, panel):
    panel.show_survey(small())
    proxy = panel.images.proxy
    qtbot.keyClicks(panel.images.filter, 'class=normal')
    qtbot.keyClick(panel.images.filter, Qt.Key.Key_Return)
    assert proxy.rowCount() == 30 and '30 of 60 images' in panel.images.count.text()
    panel.images.filter.clear()
    qtbot.waitUntil(lambda: proxy.rowCount() == 60, timeout=WAIT)
    panel.images.set_filter('"299 × 299"')
    assert proxy.rowCount() == 20
    panel.images.set_filter('covid19/image-00003')
    assert proxy.rowCount() == 1
    panel.images.select(40)  # not among them: the filter makes way
    assert panel.images.selected == [40] and proxy.rowCount() == 60
    panel.images.leave.click()
    panel.images.set_filter('"left out"')
    assert proxy.rowCount() == 1


def test_columns_sort_by_what_they_mean(panel):
    panel.show_survey(small())
    table, proxy, model = panel.images.table, panel.images.proxy, panel.images.model
    table.sortByColumn(4, Qt.SortOrder.DescendingOrder)
    rows = [proxy.mapToSource(proxy.index(i, 0)).row() for i in range(60)]
    areas = panel.survey.sizes[rows].prod(axis=1)
    assert (np.diff(areas) <= 0).all()
    table.sortByColumn(0, Qt.SortOrder.AscendingOrder)
    panel.show_survey(survey(per_class=(4, 4, 4), pairs=0))
    names = [model.data(proxy.mapToSource(proxy.index(i, 0))) for i in range(12)]
    assert names == sorted(names)


def test_a_double_click_or_return_opens(qtbot, panel, heard):
    panel.show_survey(small())
    click(qtbot, panel, 5)
    qtbot.mouseDClick(panel.images.table.viewport(), LEFT, pos=row_of(panel, 5))
    qtbot.keyClick(panel.images.table, Qt.Key.Key_Return)
    assert heard == [('opened', panel.survey.paths[5])] * 2


def test_ten_thousand_images_are_quick(qtbot, panel):
    big = survey(per_class=(4000, 4000, 2000), pairs=500)
    began = time.perf_counter()
    panel.show_survey(big)
    panel.images.set_filter('class=normal split=train')
    panel.images.table.sortByColumn(4, Qt.SortOrder.AscendingOrder)
    panel.images.table.selectAll()
    panel.images.leave.click()
    panel.grab()
    assert time.perf_counter() - began < 15
    assert len(panel.edits.left_out) == panel.images.proxy.rowCount() > 2000


def test_plots_lead_to_the_list(qtbot, panel):
    panel.show_survey(small())
    box = panel.by_source.cell_box(0, 1).center()
    qtbot.mouseClick(panel.by_source.viewport(), LEFT, pos=QPoint(round(box.x()), round(box.y())))
    words = panel.images.filter.text()
    assert words == '"source=figshare" "class=normal"'
    assert panel.images.proxy.rowCount() == panel.by_source.values[0, 1]
    panel.sizes.chosen.emit(33)
    assert panel.images.selected == [33] and 'image-00033' in panel.pointed.text()


# -- pairs ---------------------------------------------------------------------------------


def test_a_click_on_a_pair_opens_both(qtbot, panel, heard):
    panel.show_survey(small())
    pairs = panel.pairs
    where = pairs.table.visualRect(pairs.model.index(1, 0)).center()
    qtbot.mouseClick(pairs.table.viewport(), LEFT, pos=where)
    paths = panel.survey.paths
    assert heard == [('pair', paths[1], paths[58])]


def test_same_patient_and_back(qtbot, panel, heard):
    panel.show_survey(small())
    pairs = panel.pairs
    assert not pairs.same.isEnabled()
    pairs.table.selectRow(0)
    first, second = panel.survey.digests[0], panel.survey.digests[59]
    qtbot.mouseClick(pairs.same, LEFT)
    assert heard[-1] == ('grouped', first, second, True)
    assert 'same patient' in pairs.model.data(pairs.model.index(0, 1))
    assert pairs.same.text() == 'Separate'
    qtbot.mouseClick(pairs.undo, LEFT)
    assert heard[-1] == ('grouped', first, second, False)
    assert pairs.same.text() == 'Same patient'
    qtbot.mouseClick(pairs.same, LEFT)
    qtbot.mouseClick(pairs.same, LEFT)
    assert heard[-1] == ('grouped', first, second, False) and len(heard) == 4


def test_pairs_of_an_earlier_day_can_be_separated(panel, heard):
    made = small()
    first, second = made.digests[0], made.digests[59]
    panel.show_survey(made, together=[(first, 'x', second)])
    panel.pairs.table.selectRow(0)
    panel.pairs.same.click()
    assert heard == [('grouped', first, second, False)]


def test_what_is_one_patient_already_needs_no_button(panel):
    made = small()
    groups = (*made.groups[:-1], made.groups[0])
    panel.show_survey(small(groups=groups))
    panel.pairs.table.selectRow(0)
    assert not panel.pairs.same.isEnabled() and 'already' in panel.pairs.same.toolTip()
    assert 'one patient' in panel.pairs.model.data(panel.pairs.model.index(0, 1))


def test_without_pairs_it_says_so(panel):
    panel.show_survey(survey(per_class=(5, 5, 5), pairs=0))
    assert 'No two images' in panel.pairs.note.text() and not panel.pairs.table.isVisible()


# -- samples -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ('shape', 'count'),
    [((4, 2, 9, 8), 8), ((4, 2, 9, 8, 3), 8), ((2, 4, 2, 9, 8, 3), 16), ((1, 4, 2, 9, 8, 3), 8)],
)
def test_samples_of_any_shape(panel, shape, count):
    panel.show_survey(small())
    panel.show_samples(np.random.default_rng(0).integers(0, 255, shape, dtype=np.uint8))
    assert panel.samples.grid.count == count and 'its augmentation' in panel.samples.note.text()


def test_samples_that_nothing_changes_and_enlarging(qtbot, panel):
    panel.show_survey(small())
    panel.show_samples(np.full((2, 2, 10, 10), 7, np.uint8))
    assert 'no augmentation' in panel.samples.note.text()
    grid = panel.samples.grid
    before = grid.box(0).width()
    qtbot.mouseClick(grid, LEFT, pos=QPoint(20, 20))
    qtbot.waitUntil(lambda: grid.box(0).width() > before, timeout=WAIT)
    with pytest.raises(ValueError, match='not \\(3, 4\\)'):
        panel.show_samples(np.zeros((3, 4), np.uint8))
