"""What is told of labels that were saved."""

import pytest
from qtpy.QtCore import Qt
from qtpy.QtGui import QDesktopServices

from napari_cxr.plugin.annotation.label_export import ExportMessage
from napari_cxr.scoring.annotation.csv_export import ExportResult

LEFT = Qt.MouseButton.LeftButton
SAVED = ExportResult('/ward/b/labels.csv', 2000, ('Left out: 1 image.',))


@pytest.fixture
def view(qtbot):
    view = ExportMessage()
    qtbot.addWidget(view)
    view.resize(456, 60)
    assert not view.isVisible()
    view.show_saved(SAVED, True)
    return view


def test_it_says_what_was_saved_and_where(view):
    assert view.label.text() == 'Saved 2,000 images as labels.csv in b. Left out: 1 image.'
    assert view.label.toolTip() == SAVED.path
    view.show_saved(ExportResult('/labels.csv', 1), True)
    assert view.label.text() == 'Saved 1 image as labels.csv in /.'


def test_it_leads_to_the_train_dock_and_to_the_folder(qtbot, view, monkeypatch):
    with qtbot.waitSignal(view.train_wanted) as told:
        qtbot.mouseClick(view.train, LEFT)
    assert told.args == [SAVED]
    shown = []
    monkeypatch.setattr(QDesktopServices, 'openUrl', shown.append)
    qtbot.mouseClick(view.folder, LEFT)
    assert [url.toLocalFile() for url in shown] == ['/ward/b']
    view.show_saved(SAVED, False)
    assert not view.train.isVisible() and view.folder.isVisible()
    qtbot.mouseClick(view.dismiss, LEFT)
    assert not view.isVisible()
