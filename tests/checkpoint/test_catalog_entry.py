"""From an entry of the catalog to a model that can be named."""

import shutil

import numpy as np
import pytest
import torch

from napari_cxr.checkpoint import CheckpointError, catalog, download, load
from napari_cxr.checkpoint.catalog_entry import (
    bytes_so_far,
    download_path,
    download_terms,
    get_model,
)
from serving import Served, serving


@pytest.fixture(autouse=True)
def this_computer_only(monkeypatch):
    monkeypatch.setenv('NO_PROXY', '127.0.0.1')


@pytest.fixture
def served(foreign_file, listed_foreign):
    served = Served(foreign_file.read_bytes())
    with serving(served) as address:
        listed_foreign(f'{address}file')
        yield served


def entry_of(name='findings'):
    (entry,) = [e for e in catalog.entries() if e.name == name]
    return entry


def drained(progress):
    events = []
    while True:
        try:
            events.append(next(progress))
        except StopIteration as end:
            return events, end.value


def names_in(folder):
    return sorted(path.name for path in folder.iterdir())


def test_the_four_with_known_hashes_are_offered_and_come_only_when_asked_for():
    offered = {e.name: e for e in catalog.entries() if e.needs_download}
    assert list(offered) == [f'xrv-{key}' for key in ('all', 'mimic_ch', 'pc', 'rsna')]
    for entry in offered.values():
        assert 28_380_000 < entry.size < 28_390_000 and entry.form == 'torchxrayvision'
        assert entry.url.startswith('https://huggingface.co/torchxrayvision/densenet121-res224-')
        said = dict(download_terms(entry))
        assert 'Apache-2.0' in said['Licence'] and '2111.00595' in said['Please cite']
        assert said['Learnt from'] and said['Findings']
    with pytest.raises(CheckpointError, match=r'models get xrv-all.*'):
        catalog.resolve('xrv-all')


def test_downloaded_checked_converted_and_there(served):
    assert entry_of().needs_download
    events, path = drained(get_model(entry_of()))
    stages = [event.stage for event in events]
    assert stages[0] == 'downloading' and stages[-2:] == ['checking', 'converting']
    entry = entry_of()
    assert (entry.path, entry.needs_download) == (path, False) and catalog.resolve(
        'findings'
    ) == path
    assert names_in(path.parent) == ['findings.safetensors']  # what was converted is gone
    card = entry.card
    assert card.name == 'findings' and len(card.labels) == 18 and card.decision == 'library'
    assert card.data['converted']['url'] == entry.url
    network = load(path).network()
    with torch.no_grad():
        assert network(torch.zeros(1, 1, 224, 224)).shape == (1, 18)


def test_stopped_and_gone_on_with(served, monkeypatch):
    monkeypatch.setattr(download, '_EVERY', 0.0)
    progress = get_model(entry_of())
    while next(progress).done < 5e6:
        pass
    progress.close()
    before = bytes_so_far(entry_of())
    assert 5e6 <= before < served.size
    drained(get_model(entry_of()))
    assert [asked for _, asked in served.asked] == ['', f'bytes={before}-']
    assert entry_of().path is not None


def test_the_file_that_a_person_has(served, foreign_file, tmp_path):
    mine = shutil.copy(foreign_file, tmp_path / 'mine.pt')
    events, path = drained(get_model(entry_of(), mine))
    assert [e.stage for e in events] == ['checking', 'converting'] and served.asked == []
    assert entry_of().path == path and mine.is_file()


def test_another_file_is_not_opened(served, foreign_file, tmp_path, monkeypatch):
    from napari_cxr.checkpoint.foreign import torch_file

    monkeypatch.setattr(torch_file, '_read', None)  # would fail if it were looked into
    content = bytearray(foreign_file.read_bytes())
    content[1000] ^= 1
    (tmp_path / 'wrong.pt').write_bytes(content)
    with pytest.raises(CheckpointError, match=r'wrong\.pt is not the file.*SHA-256 is different'):
        drained(get_model(entry_of(), tmp_path / 'wrong.pt'))
    (tmp_path / 'short.pt').write_bytes(content[:-1])
    with pytest.raises(CheckpointError, match=r'short\.pt is not the file.*bytes instead of'):
        drained(get_model(entry_of(), tmp_path / 'short.pt'))
    with pytest.raises(CheckpointError, match='cannot be read'):
        drained(get_model(entry_of(), tmp_path / 'none.pt'))


def test_offline_says_how_to_do_without(foreign_file, listed_foreign):
    listed_foreign('http://127.0.0.1:9/file')
    with pytest.raises(CheckpointError, match=r'cannot be reached.*with a browser.*I have the'):
        drained(get_model(entry_of()))


def test_what_cannot_be_converted_is_not_downloaded_again(tmp_path, listed_foreign):
    """A file with the right hash but a name that is not on the list."""
    torch.save({'state_dict': {'x': torch.ones(2)}, 'odd': torch.nn.LSTM(2, 2)}, tmp_path / 'x.pt')
    served = Served((tmp_path / 'x.pt').read_bytes())
    with serving(served) as address:
        listed_foreign(f'{address}file', sha256=served.sha256)
        text = (download_path(entry_of()).parent.parent / 'catalog.toml').read_text()
        text = text[: text.index('size')]
        (download_path(entry_of()).parent.parent / 'catalog.toml').write_text(text)
        for _ in range(2):
            with pytest.raises(CheckpointError, match=r'torch\.nn\.modules\.rnn\.LSTM'):
                drained(get_model(entry_of()))
    assert len(served.asked) == 1


def test_a_hospital_can_give_the_file_from_its_own_server(foreign_file, own_models):
    from napari_cxr.checkpoint import digest

    own_models.mkdir()
    (own_models / 'catalog.toml').write_text(
        '[[model]]\nname = "xrv-rsna"\nformat = "torchxrayvision"\nweights = "rsna"\n'
        f'url = "http://models.invalid/x"\nsha256 = "{digest(foreign_file)}"\n'
    )
    entry = entry_of('xrv-rsna')
    assert entry.url == 'http://models.invalid/x'
    drained(get_model(entry, foreign_file))
    card = entry_of('xrv-rsna').card
    assert card.labels == ('Pneumonia', 'Lung Opacity')
    np.testing.assert_allclose(card.thresholds, [0.13486601, 0.13511065])
