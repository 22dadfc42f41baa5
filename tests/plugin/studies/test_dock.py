"""The study browser: from a folder to a prior beside the current radiograph."""

import numpy as np
import pytest
from napari.components import ViewerModel
from qtpy.QtCore import QMimeData, QPointF, Qt, QUrl
from qtpy.QtGui import QDropEvent

from napari_cxr.plugin.radiographs_on_show import watch_viewer
from napari_cxr.plugin.studies import image_opener
from napari_cxr.plugin.studies.dock import StudiesDock
from napari_cxr.samples import write_phantom_dicom
from napari_cxr.studies.study_tree import BY_DATE

WAIT = 90_000

pytestmark = pytest.mark.usefixtures('settled_threads')


@pytest.fixture
def folder(tmp_path):
    """One patient with a frontal view and a lateral one, and a frontal one of 20 days before."""
    folder = tmp_path / 'disc'
    folder.mkdir()
    for number, (study, day, view) in enumerate(
        [('1.2.3', '20240321', 'PA'), ('1.2.3', '20240321', 'LL'), ('1.2.2', '20240301', 'PA')]
    ):
        write_phantom_dicom(
            folder / f'IM{number}',
            pixels=np.full((20, 16), number, np.uint16),
            view=view,
            seed=number,
            attributes={
                'PatientName': '<b>Doe</b>^Jane',
                'PatientID': '4711',
                'StudyInstanceUID': study,
                'SeriesInstanceUID': f'{study}.{number}',
                'StudyDate': day,
            },
        )
    return folder


@pytest.fixture
def dock(qtbot, own_plugin, folder):
    dock = StudiesDock(ViewerModel())
    qtbot.addWidget(dock)
    with qtbot.waitSignal(dock.indexed, timeout=WAIT):
        dock.open_source(folder)
    return dock


def texts(dock, above=None):
    """The rows of the tree, with those below them."""
    above = dock.tree.rows.root if above is None else above
    return [(node.text, texts(dock, node)) for node in above.children]


def click(qtbot, dock, name):
    node = next(n for n in dock.tree.rows.root.images() if n.image.path.endswith(name))
    with qtbot.waitSignal(dock.opener.shown, timeout=WAIT):
        dock.tree.clicked.emit(dock.tree.rows.index_of(node))


def visible(dock):
    return [int(layer.data[0, 0]) for layer in watch_viewer(dock.viewer).on_show]


def test_the_tree_tells_no_identity(dock):
    ((patient, studies),) = texts(dock)
    assert patient.startswith('Patient ')
    assert studies == [
        ('Latest study', [('DX PA', []), ('DX lateral', [])]),
        ('20 days earlier', [('DX PA', [])]),
    ]
    assert '4711' not in repr(texts(dock))


def test_names_while_the_switch_is_on(qtbot, dock):
    dock.names.setChecked(True)
    qtbot.waitUntil(lambda: '4711' in texts(dock)[0][0], timeout=WAIT)
    assert texts(dock)[0][0].startswith('<b>Doe</b> Jane · 4711')
    assert texts(dock)[0][1][0][0].startswith('2024-03-21')
    at = dock.order.findText(BY_DATE)
    assert dock.order.model().item(at).isEnabled()
    dock.order.setCurrentIndex(at)
    dock.search.setText('jane')
    dock._refresh()
    assert len(list(dock.tree.rows.root.images())) == 3
    dock.names.setChecked(False)
    assert '4711' not in repr(texts(dock))
    # Without dates on screen nothing is sorted by them.
    assert dock.order.currentIndex() == 0 and not dock.order.model().item(at).isEnabled()
    assert not StudiesDock(ViewerModel()).names.isChecked()


def test_a_search_keeps_what_fits(dock):
    dock.search.setText('EARLIER pa')
    dock._refresh()
    assert [node.image.path[-3:] for node in dock.tree.rows.root.images()] == ['IM2']


def test_a_click_on_a_study_opens_its_first_image(qtbot, dock):
    (patient,) = dock.tree.rows.root.children
    for row, shown in ((patient.children[1], 2), (patient, 0)):
        with qtbot.waitSignal(dock.opener.shown, timeout=WAIT):
            dock.tree.clicked.emit(dock.tree.rows.index_of(row))
        assert visible(dock) == [shown]


def test_a_click_opens_one_image(qtbot, dock):
    click(qtbot, dock, 'IM0')
    assert visible(dock) == [0]
    click(qtbot, dock, 'IM1')
    assert visible(dock) == [1]
    assert dock.viewer.layers.selection.active.data[0, 0] == 1
    click(qtbot, dock, 'IM0')
    assert visible(dock) == [0]
    assert len(dock.viewer.layers) == 2  # it was still open


def test_the_prior_and_the_lateral_beside_it(qtbot, dock):
    assert not dock.prior.isEnabled()
    click(qtbot, dock, 'IM0')
    assert dock.prior.isEnabled()
    with qtbot.waitSignal(dock.opener.shown, timeout=WAIT):
        dock.prior.click()
    left, right = sorted(
        watch_viewer(dock.viewer).on_show, key=lambda layer: layer.extent.world[0, 1]
    )
    assert (left.data[0, 0], right.data[0, 0]) == (0, 2)
    assert watch_viewer(dock.viewer).comparing
    with qtbot.waitSignal(dock.opener.shown, timeout=WAIT):
        dock.other_view.click()
    assert sorted(visible(dock)) == [0, 1]
    click(qtbot, dock, 'IM2')
    assert visible(dock) == [2]
    assert not dock.prior.isEnabled()


def test_next_and_previous(qtbot, dock):
    for by, expected in ((1, 0), (1, 1), (1, 2), (-1, 1)):
        with qtbot.waitSignal(dock.opener.shown, timeout=WAIT):
            dock.step(by)
        assert visible(dock) == [expected]


def test_only_a_few_images_stay_open(qtbot, dock, monkeypatch):
    monkeypatch.setattr(image_opener, 'MOST_OPEN', 2)
    for name in ('IM0', 'IM1', 'IM2'):
        click(qtbot, dock, name)
    assert [int(layer.data[0, 0]) for layer in dock.viewer.layers] == [1, 2]


def test_what_cannot_be_opened_is_said(qtbot, dock, folder):
    (folder / 'IM0').write_bytes(b'gone')
    click(qtbot, dock, 'IM0')
    assert 'not a readable image' in dock.message.text
    assert dock.viewer.layers == []


def test_a_folder_without_images_says_so(qtbot, dock, tmp_path):
    (tmp_path / 'empty').mkdir()
    with qtbot.waitSignal(dock.indexed, timeout=WAIT):
        dock.open_source(tmp_path / 'empty')
    assert dock.pages.currentIndex() == 0
    assert dock.empty.text().startswith('There is no image in this folder.')


def test_a_dropped_folder_is_listed_and_remembered(qtbot, own_plugin, folder):
    dock = StudiesDock(ViewerModel())
    qtbot.addWidget(dock)
    mime = QMimeData()
    mime.setUrls([QUrl.fromLocalFile(str(folder))])
    event = QDropEvent(
        QPointF(1, 1),
        Qt.DropAction.CopyAction,
        mime,
        Qt.MouseButton.LeftButton,
        Qt.KeyboardModifier.NoModifier,
    )
    with qtbot.waitSignal(dock.indexed, timeout=WAIT):
        dock.dropEvent(event)
    assert len(dock.images) == 3
    again = StudiesDock(ViewerModel())
    qtbot.addWidget(again)
    again.menu.aboutToShow.emit()
    assert str(folder) in [action.text() for action in again.menu.actions()]


def test_many_images_are_sorted_in_the_background(qtbot, dock, monkeypatch):
    monkeypatch.setattr('napari_cxr.plugin.studies.dock._AT_ONCE', 0)
    with qtbot.waitSignal(dock.sorted, timeout=WAIT):
        dock.search.setText('lateral')
        dock._refresh()
        dock.search.setText('earlier')  # the last one counts
        dock._refresh()
    assert [node.image.path[-3:] for node in dock.tree.rows.root.images()] == ['IM2']
