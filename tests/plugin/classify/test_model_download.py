"""From a model that is only listed to one that classifies, with one click in between."""

import pytest
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QFileDialog

from napari_cxr.checkpoint import catalog
from napari_cxr.checkpoint.catalog import CatalogEntry
from napari_cxr.checkpoint.download import DownloadProgress
from napari_cxr.plugin.classify.model_download import ModelDownloadPanel, shared_downloader
from serving import Served, serving

WAIT = 150_000


@pytest.fixture(scope='module', autouse=True)
def process():
    yield
    shared_downloader().close()


@pytest.fixture
def served(foreign_file, listed_foreign, monkeypatch):
    monkeypatch.setenv('NO_PROXY', '127.0.0.1')
    served = Served(foreign_file.read_bytes())
    with serving(served) as address:
        listed_foreign(f'{address}file')
        yield served


@pytest.fixture
def offered(dock, served):
    """The dock with the model 'findings' chosen, which is not here yet."""
    dock.inputs.model.choose('findings')
    yield dock
    dock.getting.session.cancel()


def got(qtbot, dock, click):
    with qtbot.waitSignal(dock.getting.settled, timeout=WAIT):
        click()


def test_what_is_not_here_shows_its_terms_instead_of_classify(offered):
    panel = offered.get_panel
    assert not panel.isHidden() and offered.start.isHidden()
    box = offered.inputs.model
    assert box.currentText() == 'findings · Get (28 MB)' and panel.get.text() == 'Get (28 MB)'
    assert '18 findings' in panel.title.text()
    for said in ('Learnt from', 'PadChest', 'Apache-2.0', '2111.00595'):
        assert said in panel.terms.text()
    assert '127.0.0.1' in panel.status.text()
    offered.inputs.model.choose('tiny')
    assert panel.isHidden() and not offered.start.isHidden()


def test_other_docks_list_only_what_is_here(offered, qtbot):
    from napari_cxr.plugin.widgets.model_selector import ModelComboBox

    box = ModelComboBox('', 'batch')
    qtbot.addWidget(box)
    assert box.findData('tiny') >= 0 and box.findData('findings') < 0
    assert offered.inputs.model.findData('xrv-all') >= 0


def test_one_click_gets_it_and_then_it_classifies(qtbot, offered):
    got(qtbot, offered, offered.get_panel.get.click)
    assert offered.message.text == ''
    assert offered.inputs.current_model == 'findings'
    assert offered.inputs.model.currentText() == 'findings'
    assert offered.get_panel.isHidden() and not offered.start.isHidden()
    assert len(offered.inputs.current_card().labels) == 18
    assert not shared_downloader().alive  # it held torch


def test_cancelled_it_says_how_much_has_come_and_goes_on(qtbot, offered, served):
    panel = offered.get_panel

    def hold(sent):
        if sent > 4e6 and not served.end.is_set():
            served.end.wait(60)

    served.slow = hold
    with qtbot.waitSignal(
        offered.getting.session.progressed,
        timeout=WAIT,
        check_params_cb=lambda event: isinstance(event, DownloadProgress) and event.done > 1e6,
    ):
        qtbot.mouseClick(panel.get, Qt.MouseButton.LeftButton)
    assert 'of 28 MB' in panel.status.text() and not panel.bar.isHidden()
    assert panel.get.isHidden() and not panel.cancel.isHidden()
    # Another model can be looked at meanwhile, and this one comes on.
    offered.inputs.model.choose('xrv-rsna')
    assert not panel.get.isEnabled() and 'Another model is being' in panel.status.text()
    offered.inputs.model.choose('findings')
    assert 'of 28 MB' in panel.status.text() and not panel.cancel.isHidden()
    got(qtbot, offered, panel.cancel.click)  # of a server that says nothing more
    assert panel.get.text().startswith('Resume (') and 'downloaded' in panel.status.text()
    assert offered.message.text == ''
    served.slow = None
    got(qtbot, offered, panel.get.click)
    assert offered.inputs.model.currentText() == 'findings'
    assert served.asked[-1][1].startswith('bytes=')


def test_i_have_the_file_is_checked_all_the_same(
    qtbot, offered, served, foreign_file, tmp_path, monkeypatch
):
    (tmp_path / 'other.pt').write_bytes(b'x' * 100)
    chosen = [str(tmp_path / 'other.pt'), str(foreign_file)]
    monkeypatch.setattr(QFileDialog, 'getOpenFileName', lambda *_: (chosen.pop(0), ''))
    got(qtbot, offered, offered.get_panel.file.click)
    assert 'other.pt is not the file of findings' in offered.message.text
    assert not offered.get_panel.isHidden()
    got(qtbot, offered, offered.get_panel.file.click)
    assert offered.message.text == '' and offered.get_panel.isHidden()
    assert served.asked == [] and catalog.resolve('findings').is_file()


def test_offline_is_one_message_with_what_to_do(qtbot, dock, listed_foreign, monkeypatch):
    monkeypatch.setenv('NO_PROXY', '127.0.0.1')
    listed_foreign('http://127.0.0.1:9/file')
    dock.inputs.model.choose('findings')
    got(qtbot, dock, dock.get_panel.get.click)
    assert 'cannot be reached' in dock.message.text and 'I have the file…' in dock.message.text
    assert not dock.get_panel.isHidden() and dock.get_panel.get.isEnabled()


def test_the_panel_in_words(qtbot):
    panel = ModelDownloadPanel()
    qtbot.addWidget(panel)
    entry = CatalogEntry('x', None, 'download', None, url='https://a.org/b', size=28_000_000)
    panel.show_entry(entry, 0)
    assert panel.get.text() == 'Get (28 MB)' and 'a.org' in panel.status.text()
    panel.show_entry(entry, 8_000_000)
    assert panel.get.text() == 'Resume (20 MB left)'
    unknown = CatalogEntry('x', None, 'download', None, url='https://a.org/b')
    panel.show_entry(unknown, 8_000_000)
    assert panel.get.text() == 'Resume' and '8.0 MB were downloaded' in panel.status.text()
    panel.show_entry(unknown, 0)
    assert panel.get.text() == 'Get'
    panel.show_started()
    panel.show_progress(DownloadProgress('downloading', 7_000_000, 28_000_000, 75.0))
    assert panel.status.text() == '7.0 MB of 28 MB, 1:15 left' and panel.bar.value() == 250
    panel.show_progress(DownloadProgress('converting'))
    assert panel.status.text() == 'Converting it…' and panel.bar.maximum() == 0
