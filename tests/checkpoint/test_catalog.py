"""The list of models, and what happens to broken ones and downloads."""

import hashlib
import json
import math
import os
import shutil
import threading
import time
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest
import torch

from napari_cxr.checkpoint import CheckpointError, catalog, load, read_card, save
from napari_cxr.checkpoint.card_page import card_markdown, headline
from napari_cxr.checkpoint.model_file import replace_card

LISTED = f'[[model]]\nname = "x"\nurl = "https://a/b"\nsha256 = "{"0" * 64}"\n'


@pytest.fixture
def own(tmp_path, monkeypatch):
    folder = tmp_path / 'models'
    folder.mkdir()
    monkeypatch.setenv('NAPARI_CXR_MODELS', str(folder))
    return folder


def yours():
    """All but what is bundled and what is offered to everybody."""
    return [e for e in catalog.entries() if e.origin != 'bundled' and not e.needs_download]


def files_of(folder):
    return [path.name for path in folder.rglob('*') if path.is_file()]


@pytest.fixture
def served(tmp_path, card, monkeypatch):
    """A server with one model; yields its address and SHA-256."""
    monkeypatch.setenv('NO_PROXY', '127.0.0.1')
    folder = tmp_path / 'served'
    folder.mkdir()
    save(folder / 'far.safetensors', {'x': torch.ones(4)}, card)

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(('127.0.0.1', 0), partial(Quiet, directory=str(folder))) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        digest = hashlib.sha256((folder / 'far.safetensors').read_bytes()).hexdigest()
        yield f'http://127.0.0.1:{server.server_port}/far.safetensors', digest
        server.shutdown()
        thread.join()


def list_download(folder, url, sha256):
    (folder / 'catalog.toml').write_text(
        f'[[model]]\nname = "far"\nurl = "{url}"\nsha256 = "{sha256}"\ntitle = "From afar"\n'
    )


def test_a_folder_that_is_not_there_is_empty(own):
    own.rmdir()
    assert yours() == []


def test_the_variable_names_the_folder(own, monkeypatch):
    assert catalog.models_folder() == own
    monkeypatch.delenv('NAPARI_CXR_MODELS')
    assert 'napari-cxr' in catalog.models_folder().parts


def test_a_broken_file_is_listed_and_hides_no_other(own, card):
    (own / 'broken.safetensors').write_bytes(b'nothing')
    save(own / 'whole.safetensors', {'x': torch.ones(4)}, card)
    broken, whole = yours()
    assert (broken.name, broken.card, broken.origin) == ('broken', None, 'yours')
    assert 'not a .safetensors file' in broken.error
    assert (whole.name, whole.card, whole.error) == ('whole', card, '')
    assert catalog.resolve('whole') == own / 'whole.safetensors'
    with pytest.raises(CheckpointError, match=r'not a \.safetensors file'):
        catalog.resolve('broken')


def test_ones_own_goes_before_a_bundled_one_unless_it_is_broken(own, card):
    name = catalog.default()
    bundled = catalog.resolve(name)
    assert bundled.parent != own
    mine = own / f'{name}.safetensors'
    save(mine, {'x': torch.ones(4)}, card)
    assert catalog.resolve(name) == mine
    mine.write_bytes(b'nothing')
    assert catalog.resolve(name) == bundled


def test_a_path_goes_before_a_name_and_an_unknown_name_lists_the_known(own, card):
    save(own / 'mine.safetensors', {'x': torch.ones(4)}, card)
    assert catalog.resolve(own / 'mine.safetensors') == own / 'mine.safetensors'
    with pytest.raises(CheckpointError, match=r"no model 'his'.*mine"):
        catalog.resolve('his')


def test_a_download_is_listed_fetched_checked_and_then_there(own, served, card):
    list_download(own, *served)
    (listed,) = yours()
    assert (listed.origin, listed.path, listed.summary) == (
        'download',
        None,
        {'title': 'From afar'},
    )
    path = catalog.resolve('far')
    assert path == own / 'downloads' / 'far.safetensors'
    assert load(path).card == card
    (fetched,) = yours()
    assert (fetched.origin, fetched.path, fetched.card) == ('download', path, card)


def test_a_download_of_another_content_is_thrown_away(own, served):
    list_download(own, served[0], '0' * 64)
    with pytest.raises(CheckpointError, match='SHA-256 differs'):
        catalog.resolve('far')
    assert files_of(own) == ['catalog.toml']


def test_a_changed_download_is_fetched_anew(own, served, card):
    list_download(own, *served)
    path = catalog.resolve('far')
    save(path, {'x': torch.zeros(4)}, card)
    (entry,) = yours()
    assert entry.path is None
    assert torch.equal(load(catalog.resolve('far')).tensors['x'], torch.ones(4))


def test_no_download_replaces_a_file_of_ones_own(own, served, card):
    list_download(own, *served)
    save(own / 'far.safetensors', {'x': torch.zeros(4)}, card)
    assert catalog.resolve('far') == own / 'far.safetensors'
    mine, theirs = yours()
    catalog.fetch(theirs)
    assert torch.equal(load(mine.path).tensors['x'], torch.zeros(4))


def test_without_a_connection_it_says_so(own, monkeypatch):
    monkeypatch.setenv('NO_PROXY', '127.0.0.1')
    with ThreadingHTTPServer(('127.0.0.1', 0), SimpleHTTPRequestHandler) as server:
        port = server.server_port  # free again once the server is closed
    list_download(own, f'http://127.0.0.1:{port}/far.safetensors', '0' * 64)
    with pytest.raises(CheckpointError, match='Check the connection'):
        catalog.resolve('far')
    assert files_of(own) == ['catalog.toml']


@pytest.mark.parametrize(
    ('text', 'said'),
    [
        ('[[model', 'cannot be read'),
        ('model = 3', r'under \[\[model\]\]'),
        ('[[model]]\nname = "../x"\nurl = "https://a/b"\nsha256 = "00"', 'no usable name'),
        ('[[model]]\nname = "x"\nurl = "file:///etc/passwd"', 'no http address'),
        ('[[model]]\nname = "x"\nurl = "https://a/b"', 'no SHA-256'),
        (LISTED + 'format = "odd"', "'napari-cxr' or 'torchxrayvision', not 'odd'"),
        (LISTED + 'size = "big"', 'a number of bytes'),
        (LISTED + 'format = "torchxrayvision"\nweights = "mira"', 'one of all, mimic_ch, pc'),
    ],
)
def test_a_wrong_list_is_an_entry_with_an_error(own, text, said):
    (own / 'catalog.toml').write_text(text)
    (entry,) = yours()
    with pytest.raises(CheckpointError, match=said):
        catalog.resolve(entry.name)


def test_the_bundled_models_are_small_and_modest():
    bundled = {entry.name: entry for entry in catalog.entries() if entry.origin == 'bundled'}
    assert {'cxr3-lung-texture', 'cxr3-resnet10'} <= set(bundled)
    for entry in bundled.values():
        assert entry.error == ''
        assert entry.path.stat().st_size <= 20e6
    for entry in (bundled['cxr3-lung-texture'], bundled['cxr3-resnet10']):
        assert 'not for clinical use' in entry.card.intended_use
        assert entry.card.not_to_believe
        assert entry.card.data['split'] == 'by patient'
        sources = entry.card.metrics['model'].keys()
        for baseline in entry.card.metrics['baselines'].values():
            assert sources == baseline.keys()
        assert entry.card.metrics['baselines'].keys() == {'format only', 'format and grey levels'}
        assert {'all', 'nih', 'kermany', 'hannover', 'covidcxnet'} == set(sources)
        assert entry.card.not_measured
        network = load(entry.path).network()
        assert network.head is not None


def test_a_model_is_added_beside_what_is_there(model_file, own_models):
    assert catalog.add(model_file, 'mine') == 'mine'
    assert catalog.add(model_file, 'mine') == 'mine-2'
    assert catalog.add(model_file, 'cxr3-resnet10') == 'cxr3-resnet10-2'
    assert sorted(p.name for p in own_models.iterdir()) == [
        'cxr3-resnet10-2.safetensors',
        'mine-2.safetensors',
        'mine.safetensors',
    ]
    assert catalog.resolve('mine-2').read_bytes() == model_file.read_bytes()


def test_what_is_no_model_is_not_added(tmp_path, own_models):
    (tmp_path / 'x.safetensors').write_bytes(b'nothing')
    with pytest.raises(CheckpointError, match=r'x\.safetensors is not'):
        catalog.add(tmp_path / 'x.safetensors', 'x')
    assert not own_models.exists()


def test_a_full_disk_leaves_nothing_behind(model_file, own_models, monkeypatch):
    def full(*args):
        raise OSError(28, 'No space left on device')

    monkeypatch.setattr(catalog.shutil, 'copyfile', full)
    with pytest.raises(CheckpointError, match=r'No space left on device\. It is kept in'):
        catalog.add(model_file, 'mine')
    assert list(own_models.iterdir()) == []


def test_the_old_models_are_demonstrations_and_say_why():
    from napari_cxr.checkpoint.card_page import headline

    card = load(catalog.resolve('cxr3-lung-texture')).card
    for figure in ('0.53 [0.46, 0.60]', '0.66'):
        assert figure in card.demonstration
    assert headline(card) == card.demonstration
    page = card_markdown(card)
    assert f'**{card.demonstration}**' in page.split('## Data')[0]
    results = page.split('## Results')[1]
    assert results.index('0.530 [0.457, 0.603]') < results.index('| all |')
    assert 'picking three of 29 random features' in results
    assert 'sees only the format and the grey levels' in (
        load(catalog.resolve('cxr3-resnet10')).card.demonstration
    )


def demonstration(model_file, path):
    card = replace(read_card(model_file), demonstration='A demonstration, not to be believed.')
    shutil.copyfile(model_file, path)
    replace_card(path, card)


def test_demonstrations_come_last_whoever_has_them(model_file, own_models):
    own_models.mkdir()
    shutil.copyfile(model_file, own_models / 'zz.safetensors')
    demonstration(model_file, own_models / 'aa.safetensors')
    listed = catalog.entries()
    kinds = [entry.is_demonstration for entry in listed]
    assert kinds == sorted(kinds)
    own = [entry.name for entry in listed if entry.origin == 'yours']
    assert own == ['zz', 'aa']


def test_the_first_model_is_a_bundled_one_and_no_demonstration_if_it_can_be(
    model_file, own_models, tmp_path, monkeypatch
):
    own_models.mkdir()
    shutil.copyfile(model_file, own_models / 'own.safetensors')
    demonstration(model_file, tmp_path / 'a.safetensors')
    broken = tmp_path / 'b.safetensors'
    broken.write_bytes(b'nothing')
    shutil.copyfile(model_file, tmp_path / 'c.safetensors')
    there = [tmp_path / 'a.safetensors', broken]
    monkeypatch.setattr(catalog, '_bundled', lambda: there)
    assert catalog.default() == 'a', 'there is no other bundled one'
    there.append(tmp_path / 'c.safetensors')
    assert catalog.default() == 'c'
    there.clear()
    assert catalog.default() == ''


def test_the_bundled_model_beats_the_baselines_on_every_pair_of_sources_left_out():
    card = load(catalog.resolve('cxr3-lung-texture')).card
    folds = card.metrics['by_fold']
    assert card.metrics['measured_on'] == 'sources left out'
    assert sorted(fold['sources'] for fold in folds.values()) == [
        ['covidcxnet', 'kermany'],
        ['covidcxnet', 'nih'],
        ['hannover', 'kermany'],
        ['hannover', 'nih'],
    ]
    for fold in folds.values():
        for difference in fold['differences'].values():
            value, low, high = difference['all']['macro_auc']
            assert 0 < low < value < high


def _file_with(header, declared=None):
    """Return a safetensors file with this header, which may say another length than it has."""
    content = header if isinstance(header, bytes) else json.dumps(header).encode()
    return (len(content) if declared is None else declared).to_bytes(8, 'little') + content


def _nested(depth):
    found = []
    for _ in range(depth):
        found = [found]
    return found


def _card_file(path, card, tensors=None, **changes):
    """Write a file whose card has entries that `Card` would not take."""
    header = {'__metadata__': {'napari_cxr.card': json.dumps(
        json.loads(card.to_json()) | changes)}}  # fmt: skip
    data = b''
    for name, shape in (tensors or {'x': [2, 3]}).items():
        size = 4 * math.prod(shape)
        offsets = [len(data), len(data) + size]
        header[name] = {'dtype': 'F32', 'shape': shape, 'data_offsets': offsets}
        data += bytes(size)
    path.write_bytes(_file_with(header) + data)


def _fill_with_odd_files(own, card):
    """Put one file of each kind there; return how many entries there are, and what they say."""
    (own / 'folder.safetensors').mkdir()
    (own / 'dangling.safetensors').symlink_to(own / 'nowhere')
    (own / 'loop.safetensors').symlink_to(own / 'loop.safetensors')
    (own / 'short.safetensors').write_bytes(b'abc')
    (own / 'claims.safetensors').write_bytes(_file_with(b'{}', 1 << 40))
    (own / 'deep.safetensors').write_bytes(_file_with(b'{"a":' * 100_000))
    tensor = {'dtype': 'F32', 'shape': [4], 'data_offsets': [0, 16]}
    (own / 'cut.safetensors').write_bytes(_file_with({'x': tensor}))
    with (own / 'header.safetensors').open('wb') as file:
        file.write((1 << 30).to_bytes(8, 'little'))
        file.truncate((1 << 30) + 8)  # sparse: takes no place on the disk
    _card_file(
        own / 'labels.safetensors', card, labels=[str(n) for n in range(900)], operating_points={}
    )
    head = {'kind': 'average', 'hidden': [65_536] * 16}
    _card_file(own / 'layers.safetensors', card, head=head)
    _card_file(own / 'cards.safetensors', card, metrics={'a': _nested(60)})
    _card_file(own / 'sides.safetensors', card, preprocessing={'height': 10**9, 'width': 1})
    said = {
        'folder': 'it is a folder',
        'dangling': 'a link to a file that is not there',
        'loop': 'lead in a circle',
        'short': 'not a .safetensors file',
        'claims': 'not a .safetensors file',
        'deep': 'not a .safetensors file',
        'cut': 'not a .safetensors file',
        'header': 'far longer header',
        'labels': 'lists 900 labels',
        'layers': 'a layer from 65,536 to 65,536 units',
        'cards': "'metrics'",
        'sides': "'preprocessing'",
    }
    if hasattr(os, 'mkfifo'):
        os.mkfifo(own / 'pipe.safetensors')
        (own / 'device.safetensors').symlink_to('/dev/zero')
        said |= {'pipe': 'it is a named pipe', 'device': 'it is a device'}
    return said


def test_whatever_lies_in_the_folder_costs_its_own_entry_one_line(own, card):
    save(own / 'good.safetensors', {'x': torch.ones(4)}, card)
    said = _fill_with_odd_files(own, card)
    began = time.monotonic()
    listed = {entry.name: entry for entry in yours()}
    assert time.monotonic() - began < 5
    assert listed.keys() == {'good', *said}
    assert listed['good'].card == card
    for name, why in said.items():
        error = listed[name].error
        assert why in error and error.startswith(f'{name}.safetensors')
        assert '\n' not in error and len(error) < 300
        with pytest.raises(CheckpointError) as caught:
            catalog.resolve(name)
        assert str(caught.value) == error
    assert catalog.default() == 'cxr-opacity'


def test_odd_metrics_on_a_card_cost_a_sentence(own, card):
    odd = {
        'measured_on': 'test',
        'model': {'all': {'macro_auc': [0.5, 'x', 2], 'classes': [3], 'confusion': 5}},
    }
    _card_file(own / 'odd.safetensors', card, metrics=odd, data={'counts': {'a': 3}})
    (entry,) = yours()
    assert headline(entry.card) == 'its metrics are not in the form of a card'
    page = card_markdown(entry.card)
    assert page.count('The rest of this part of the card is not in the form of a card.') == 2


@pytest.mark.parametrize('kind', ['pipe', 'deep', 'folder', 'long key', 'titles'])
def test_an_odd_list_is_one_entry_and_hides_no_other(own, kind):
    table = own / 'catalog.toml'
    if kind == 'pipe':
        pytest.importorskip('fcntl')
        os.mkfifo(table)
    elif kind == 'folder':
        table.mkdir()
    elif kind == 'titles':
        digest = '0' * 64
        title = 'title = "a\\u001b[31m"'
        table.write_text(
            f'[[model]]\nname = "a"\nurl = "https://a.b/c"\nsha256 = "{digest}"\n{title}\n'
        )
    else:
        table.write_text('a = ' + '[' * 10**5 if kind == 'deep' else '.'.join('a' * 10**5) + '=1')
    listed = catalog.entries()
    wrong = [entry for entry in listed if entry.error]
    assert len(wrong) == 1 and 'catalog.toml' in wrong[0].error
    assert [entry.name for entry in listed if entry.origin == 'bundled' and not entry.error]


def test_of_a_folder_the_models_in_it_are_named(tmp_path, own, card):
    run = tmp_path / 'run'
    (run / 'fold1').mkdir(parents=True)
    with pytest.raises(CheckpointError, match='a folder without a model in it: name a file'):
        catalog.resolve(run)
    save(run / 'fold1' / 'best.safetensors', {'x': torch.ones(4)}, card)
    with pytest.raises(CheckpointError, match=r'name the model in it: \S+fold1.best\.safet\w+\.$'):
        catalog.resolve(run)
    for name in ('last', 'best', 'state', 'a'):
        save(run / f'{name}.safetensors', {'x': torch.ones(4)}, card)
    found = [path.name for path in catalog.models_in(run)]
    assert found == ['best.safetensors', 'last.safetensors', 'a.safetensors']
    with pytest.raises(CheckpointError, match='name one of the models in it: '):
        catalog.resolve(str(run))


def test_a_folder_of_the_name_of_a_model_hides_it_not(tmp_path, own, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'cxr-opacity').mkdir()
    assert catalog.resolve('cxr-opacity').name == 'cxr-opacity.safetensors'
