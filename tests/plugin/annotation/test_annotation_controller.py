"""Labels that are opened for a table whose dock goes away meanwhile."""

import gc

from qtpy.QtCore import QEvent, QObject, Signal
from qtpy.QtWidgets import QApplication

from napari_cxr.plugin.annotation import label_export
from napari_cxr.plugin.annotation.annotation_controller import TableLabels
from napari_cxr.plugin.background import Failure


class Opening(QObject):
    """A job that a test ends."""

    returned = Signal(object)

    def start(self):
        """Wait for the test."""


def test_labels_that_come_after_the_dock_has_gone_raise_nothing(qtbot, monkeypatch):
    opening = Opening()
    monkeypatch.setattr(label_export, 'open_labels', lambda *_: opening)
    owner = QObject()
    labels, came = TableLabels(lambda: None, owner), []
    labels.came.connect(came.append)
    labels.open('/scores.csv', ['normal'])
    owner.deleteLater()
    QApplication.sendPostedEvents(owner, QEvent.Type.DeferredDelete)
    opening.returned.emit(
        Failure('There is no such table.', '')
    )  # an error in a slot fails the test
    assert not came
    gc.collect()


def test_only_the_table_that_was_asked_for_last_is_told_of(qtbot, monkeypatch):
    openings = [Opening(), Opening()]
    waiting = iter(openings)
    monkeypatch.setattr(label_export, 'open_labels', lambda *_: next(waiting))
    labels, came = TableLabels(lambda: None), []
    labels.came.connect(came.append)
    labels.open('/first.csv', ['normal'])
    labels.open('/second.csv', ['normal'])
    first, second = Failure('It is damaged.', ''), Failure('It is locked.', '')
    openings[0].returned.emit(first)
    assert came == []
    openings[1].returned.emit(second)
    assert came == [second]
