"""The tour does what it says, in the real docks of a real window."""

from dataclasses import replace

import numpy as np

from napari_cxr.plugin.classify.dock import ClassifyDock
from napari_cxr.plugin.preferences import save_preferences
from napari_cxr.plugin.radiographs_on_show import watch_viewer
from napari_cxr.plugin.studies.dock import StudiesDock
from napari_cxr.plugin.tour import TourDock
from napari_cxr.samples import CASES

WAIT = 150_000


def test_all_five_steps(make_napari_viewer, qtbot, own_plugin, models, monkeypatch):
    small = {
        key: replace(case, draw=lambda: np.tile(np.linspace(0, 1, 100), (120, 1)))
        for key, case in CASES.items()
    }
    monkeypatch.setattr('napari_cxr.samples.cases.CASES', small)
    save_preferences('classify', model='tiny', device='cpu')
    viewer = make_napari_viewer()
    tour = TourDock(viewer)
    viewer.window.add_dock_widget(tour, name='Tour')

    def find(kind):
        return next(dock for dock in viewer.window.dock_widgets.values() if isinstance(dock, kind))

    for _ in range(3):
        with qtbot.waitSignal(tour.stepped, timeout=WAIT):
            tour.act.click()
        tour.next.click()
    assert len(find(StudiesDock).images) == 3
    assert watch_viewer(viewer).comparing
    assert tour.step == 3
    with qtbot.waitSignal(tour.stepped, timeout=WAIT):
        tour.act.click()
    classify = find(ClassifyDock)
    qtbot.waitUntil(lambda: not classify.busy and classify.answer is not None, timeout=WAIT)
    tour.next.click()
    with qtbot.waitSignal(tour.stepped, timeout=WAIT):
        tour.act.click()
    assert not tour.next.isEnabled()
    assert tour.message.text == ''


def test_a_step_that_comes_too_early_says_which_is_missing(qtbot, make_napari_viewer, own_plugin):
    viewer = make_napari_viewer()
    tour = TourDock(viewer)
    viewer.window.add_dock_widget(tour, name='Tour')
    tour.next.click()
    tour.next.click()
    tour.act.click()
    assert tour.status.text() == 'Open the latest image first: go back one step.'
    tour.back.click()
    assert tour.status.text() == ''
    assert tour.step == 1
