"""The header of the selected radiograph, without its identity until it is asked for."""

import numpy as np
import pytest
from napari.components import ViewerModel
from qtpy.QtGui import QGuiApplication

from napari_cxr import dicom
from napari_cxr.plugin.docks import dock_signals
from napari_cxr.plugin.layers import radiograph_layer_data
from napari_cxr.plugin.studies.tags_dock import TagsDock
from napari_cxr.samples import write_phantom_dicom

WAIT = 90_000

pytestmark = pytest.mark.usefixtures('settled_threads')


@pytest.fixture
def path(tmp_path):
    return write_phantom_dicom(
        tmp_path / 'a.dcm',
        pixels=np.zeros((8, 8), np.uint16),
        attributes={'PatientName': '<b>Doe</b>', 'Manufacturer': '=SUM(A1)\u202e'},
    )


@pytest.fixture
def dock(qtbot, own_plugin, path):
    viewer = ViewerModel()
    dock = TagsDock(viewer)
    qtbot.addWidget(dock)
    data, attributes, _ = radiograph_layer_data(dicom.read(path))
    with qtbot.waitSignal(dock.listed, timeout=WAIT):
        viewer.add_image(data, **attributes)
    return dock


def cells(dock, column=1):
    return [dock.proxy.index(line, column).data() for line in range(dock.proxy.rowCount())]


def test_identity_is_hidden_until_it_is_switched_on(qtbot, dock):
    assert 'DX' in cells(dock)
    assert not any('Doe' in cell for cell in cells(dock))
    assert 'hidden' in dock.status.text()
    with qtbot.waitSignal(dock.listed, timeout=WAIT):
        dock.identity.setChecked(True)
    assert '<b>Doe</b>' in cells(dock)  # as it is, not in bold
    assert 'hidden' not in dock.status.text()
    with qtbot.waitSignal(dock.listed, timeout=WAIT):
        dock.identity.setChecked(False)
    assert not any('Doe' in cell for cell in cells(dock))
    again = TagsDock(ViewerModel())
    qtbot.addWidget(again)
    assert not again.identity.isChecked()


def test_tags_are_drawn_as_they_are(qtbot, dock):
    from qtpy.QtCore import Qt

    with qtbot.waitSignal(dock.listed, timeout=WAIT):
        dock.identity.setChecked(True)
    dock.search.setText('Doe')
    tip = dock.proxy.index(0, 1).data(Qt.ItemDataRole.ToolTipRole)
    assert '<b>' not in tip and '&lt;b&gt;' in tip


def test_a_search_looks_in_names_values_and_tags(dock):
    for text, name in (('photometric', 'Photometric Interpretation'), ('0028,0010', 'Rows')):
        dock.search.setText(text)
        assert [cell.strip() for cell in cells(dock, 0)] == [name]
    dock.search.setText('')
    assert len(cells(dock)) > 40


def test_what_is_copied_is_harmless_in_a_spreadsheet(dock):
    dock.search.setText('Manufacturer')
    dock.copy.click()
    first = QGuiApplication.clipboard().text().splitlines()[0].split('\t')
    assert first[0] == 'Manufacturer'
    assert first[1].startswith("'=SUM(A1)")
    assert '\u202e' not in first[1]


def test_a_file_that_cannot_be_read_is_one_sentence(qtbot, dock, tmp_path):
    (tmp_path / 'text').write_text('nothing')
    with qtbot.waitSignal(dock.listed, timeout=WAIT):
        dock_signals().tags_requested.emit(dock.viewer, str(tmp_path / 'text'))
    assert 'not a readable image' in dock.message.text
    assert cells(dock) == []
