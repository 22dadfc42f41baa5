"""Scoring as a generator: rows, failures, resuming, the same table whatever happens."""

import csv
import json
import os
import random
import signal
import subprocess
import sys
import threading
import zlib
from dataclasses import replace
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import pytest

from napari_cxr import image_files
from napari_cxr.decoding_memory import ENDED_FROM_OUTSIDE, NotEnoughMemory
from napari_cxr.inference import ImageWarning
from napari_cxr.scoring import (
    Decision,
    RowScored,
    ScoringError,
    ScoringFinished,
    ScoringMeasured,
    ScoringPreparing,
    ScoringProgress,
    ScoringSettings,
    ScoringStarted,
    ScoringWarned,
    journal_of,
    list_items,
    score,
    table_reader,
    write_partial_table,
)
from napari_cxr.scoring.image_preparation import prepare_here
from napari_cxr.scoring.table_writer import write_table

FOUR = ScoringSettings(batch=4)


def shuffled(seed):
    """A reader that hands files over in any order, with waits between them."""

    def read(items, wanted):
        results = list(prepare_here(items, wanted))
        random.Random(seed).shuffle(results)
        for result in results:
            yield None
            yield result

    return read


@pytest.fixture
def items(folder):
    return list_items([folder], 'folders')


@pytest.fixture
def whole(items, classifier, tmp_path):
    """The table of an uninterrupted run."""
    events = list(score(items, classifier, tmp_path / 'whole.csv', prepare_here, FOUR))
    return events, (tmp_path / 'whole.csv').read_bytes()


def rows_of(path):
    with path.open(newline='') as file:
        return list(csv.DictReader(file))


def test_each_file_has_its_row_as_classify_says(whole, items, classifier, tmp_path):
    events, _ = whole
    rows = rows_of(tmp_path / 'whole.csv')
    assert [row['path'] for row in rows] == [item.path for item in items]
    for row, item in zip(rows, items, strict=True):
        if item.path.endswith('2b.png'):
            assert row['status'] == 'error' and 'web page' in row['error'] and not row['label']
            continue
        (prediction,) = classifier.predict([image_files.read(item.path)])
        assert row['status'] == 'scored' and row['label'] == prediction.label
        found = [float(row[f'p_{label}']) for label in classifier.labels]
        np.testing.assert_allclose(found, prediction.probabilities, atol=1e-6)
        said = [cell for name, cell in row.items() if name.startswith('warning_') and cell]
        assert ' '.join(said) == ' '.join(warning.text for warning in prediction.warnings)
        assert row['truth'] in ('normal', 'pneumonia') and row['device'] == 'cpu'
        assert row['model_hash'] == classifier.file_hash
    assert isinstance(events[0], ScoringStarted) and events[0].total == 8 and events[0].batch == 4
    assert events[0].run.labels == classifier.labels and events[0].run.truth
    end = events[-1]
    assert isinstance(end, ScoringFinished) and (end.total, end.failed) == (8, 1)
    assert end.metrics['images'] == 7
    assert sum(isinstance(event, RowScored) for event in events) == 8
    last = [event for event in events if isinstance(event, ScoringProgress)][-1]
    assert (last.done, last.failed, last.total) == (8, 1, 8)
    assert last.images_per_second > 0 and last.seconds_left == 0
    assert not journal_of(tmp_path / 'whole.csv').exists()


def test_the_order_of_arrival_changes_nothing(whole, items, classifier, tmp_path):
    for seed in range(3):
        out = tmp_path / f'{seed}.csv'
        list(score(items, classifier, out, shuffled(seed), FOUR))
        assert out.read_bytes() == whole[1]


@pytest.fixture
def cores():
    """Let torch take so many cores."""
    import torch

    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


def test_batches_at_the_same_time_give_the_same_table(
    items, classifier, tmp_path, whole, monkeypatch, cores
):
    import torch

    real, both = classifier.logits, threading.Barrier(2, timeout=60)

    def logits(*arguments):
        both.wait()  # until there is another
        assert torch.get_num_threads() == 1
        return real(*arguments)

    cores(2)
    monkeypatch.setattr(classifier, 'logits', logits)
    for i in range(3):
        out = tmp_path / f'{i}.csv'
        list(score(items, classifier, out, shuffled(i), FOUR))
        assert out.read_bytes() == whole[1]
    assert torch.get_num_threads() == 2, 'as it was'


@pytest.mark.parametrize('name', ['ONNX Runtime', 'OpenVINO'])
def test_libraries_give_the_same_table_on_any_number_of_cores(
    items, classifier, tmp_path, monkeypatch, cores, name
):
    from napari_cxr.inference.backends.backend import find_backend, why_unavailable

    if reason := why_unavailable(find_backend(name), 'cpu'):
        pytest.skip(reason)
    settings = replace(FOUR, batch=2, backend=name)  # four batches, one of them alone
    cores(1)
    list(score(items, classifier, tmp_path / '1.csv', prepare_here, settings))
    real, both = classifier.logits, threading.Barrier(2, timeout=60)

    def logits(*arguments):
        both.wait()
        return real(*arguments)

    cores(2)
    monkeypatch.setattr(classifier, 'logits', logits)
    list(score(items, classifier, tmp_path / '2.csv', shuffled(1), settings))
    assert (tmp_path / '1.csv').read_bytes() == (tmp_path / '2.csv').read_bytes()
    said = {(row['status'], row['backend']) for row in rows_of(tmp_path / '1.csv')}
    assert said == {('scored', name), ('error', '')}


def test_stopped_anywhere_it_goes_on_to_the_same_table(whole, items, classifier, tmp_path):
    for kept in range(8):
        out = tmp_path / f'{kept}.csv'
        events = score(items, classifier, out, shuffled(kept), FOUR)
        seen = []
        for event in events:
            if isinstance(event, RowScored):
                seen.append(event.row.number)
            if len(seen) == kept:
                break
        events.close()
        assert not out.exists()
        read = []

        def reading(todo, wanted, read=read):
            todo = list(todo)
            read.extend(number for number, _ in todo)
            yield from prepare_here(todo, wanted)

        again = list(score(items, classifier, out, reading, FOUR, resume=True))
        assert again[0].done >= kept and not set(read) & set(seen), 'each is scored once'
        assert len(read) == 8 - again[0].done
        assert out.read_bytes() == whole[1]


def test_rows_so_far_are_a_table_too(items, classifier, tmp_path, whole):
    out = tmp_path / 'x.csv'
    assert write_partial_table(out) == 0, 'nothing is begun'
    events = score(items, classifier, out, prepare_here, FOUR)
    assert isinstance(next(events), ScoringStarted)
    assert write_partial_table(out) == 0 and not out.exists(), 'nothing is done'
    while not isinstance(next(events), RowScored):
        pass
    events.close()
    done = write_partial_table(out)
    assert 0 < done < 8
    assert set(out.read_bytes().splitlines()) < set(whole[1].splitlines())
    assert len(rows_of(out)) == done
    list(score(items, classifier, out, prepare_here, FOUR, resume=True))
    assert out.read_bytes() == whole[1]


def test_what_is_there_is_not_overwritten(items, classifier, tmp_path, whole):
    out = tmp_path / 'whole.csv'
    with pytest.raises(ScoringError, match='exists: resume'):
        list(score(items, classifier, out, prepare_here, FOUR))
    assert out.read_bytes() == whole[1]
    (tmp_path / 'other.csv').write_text('name\nsomething else\n')
    with pytest.raises(ScoringError, match=r'other\.csv'):
        list(score(items, classifier, tmp_path / 'other.csv', prepare_here, FOUR, resume=True))
    begun = score(items, classifier, tmp_path / 'b.csv', prepare_here, FOUR)
    next(begun)
    begun.close()
    with pytest.raises(ScoringError, match='begun already'):
        next(score(items, classifier, tmp_path / 'b.csv', prepare_here, FOUR))


def no_file(items, wanted):
    assert not list(items), 'a file was read'
    yield from ()


def test_a_finished_table_is_done_when_resumed(items, classifier, tmp_path, whole):
    out = tmp_path / 'whole.csv'
    events = list(score(items, classifier, out, no_file, FOUR, resume=True))
    assert isinstance(events[-1], ScoringFinished) and events[-1].total == 8
    assert not any(isinstance(event, RowScored) for event in events)
    assert out.read_bytes() == whole[1]
    assert not journal_of(out).exists()


def test_files_that_are_new_join_a_finished_table(items, classifier, tmp_path, whole, folder):
    out = tmp_path / 'some.csv'
    list(score([*items[:3], *items[5:]], classifier, out, prepare_here, FOUR))
    events = list(score(items, classifier, out, prepare_here, FOUR, resume=True))
    assert [e.row.path for e in events if isinstance(e, RowScored)] == [i.path for i in items[3:5]]
    found, wanted = rows_of(out), rows_of(tmp_path / 'whole.csv')
    assert [row['path'] for row in found] == [row['path'] for row in wanted]
    # The last digits may differ: the new files were in batches of their own.
    for row, other in zip(found, wanted, strict=True):
        for name in row:
            if name.startswith('p_') and row[name]:
                assert float(row[name]) == pytest.approx(float(other[name]), abs=1e-5)
            else:
                assert row[name] == other[name]


def test_errors_are_tried_again_where_asked_for(items, classifier, tmp_path, whole):
    out = tmp_path / 'whole.csv'
    (broken,) = [row['path'] for row in rows_of(out) if row['status'] == 'error']
    good = next(row['path'] for row in rows_of(out) if row['status'] == 'scored')
    Path(broken).write_bytes(Path(good).read_bytes())
    list(score(items, classifier, out, no_file, FOUR, resume=True))
    assert out.read_bytes() == whole[1]
    again = replace(FOUR, retry_errors=True)
    events = list(score(items, classifier, out, prepare_here, again, resume=True))
    assert [e.row.path for e in events if isinstance(e, RowScored)] == [broken]
    assert all(row['status'] == 'scored' for row in rows_of(out))


OUTSIDE = f'{ENDED_FROM_OUTSIDE}, and again when it was tried alone.'


@pytest.mark.parametrize('reason', [OUTSIDE, str(NotEnoughMemory(9 << 30, 1 << 30))])
def test_what_memory_was_lacking_for_is_tried_again_by_every_resume(
    items, classifier, tmp_path, whole, reason
):
    out, lacking = tmp_path / 't.csv', items[3].path

    def short_of_memory(todo, wanted):
        for number, path in todo:
            if str(path) == lacking:
                yield number, reason
            else:
                yield from prepare_here([(number, path)], wanted)

    list(score(items, classifier, out, short_of_memory, FOUR))
    assert [row['error'] for row in rows_of(out) if row['path'] == lacking] == [reason]
    list(score(items, classifier, out, short_of_memory, FOUR, resume=True))  # again in vain
    assert [row['error'] for row in rows_of(out) if row['path'] == lacking] == [reason]
    begun = score(items, classifier, out, prepare_here, FOUR, resume=True)
    assert [e.row.path for e in begun if isinstance(e, RowScored)] == [lacking]
    done = {row['path']: row['status'] for row in rows_of(out)}
    assert done == {row['path']: row['status'] for row in rows_of(tmp_path / 'whole.csv')}
    assert done[lacking] == 'scored'


def test_no_row_of_a_finished_table_gets_lost(items, classifier, tmp_path, whole):
    out = tmp_path / 'whole.csv'
    with pytest.raises(ScoringError, match=r'not among the files now'):
        list(score(items[1:], classifier, out, no_file, FOUR, resume=True))
    shares = replace(FOUR, shares=True)
    with pytest.raises(ScoringError, match='another choice of what is said of heatmaps'):
        list(score(items, classifier, out, no_file, shares, resume=True))
    assert out.read_bytes() == whole[1]
    assert not journal_of(out).exists()


def test_devices_are_of_one_kind_or_mixed():
    from napari_cxr.scoring.pipeline import device_kind

    kinds = [device_kind(names) for names in (['cpu'], ['cuda:0', 'cuda:1'], ['cpu', 'cuda'])]
    assert kinds == ['cpu', 'cuda', 'mixed']


def test_it_does_not_go_on_with_something_else(items, classifier, tmp_path, monkeypatch):
    out = tmp_path / 'x.csv'
    begun = score(items, classifier, out, prepare_here, FOUR)
    next(begun)
    begun.close()

    def again(items=items, settings=FOUR):
        with pytest.raises(ScoringError) as caught:
            next(score(items, classifier, out, prepare_here, settings, resume=True))
        return str(caught.value)

    assert 'another list of files' in again(items[:-1])
    assert 'another list of files' in again([*items[:-1], replace(items[-1], truth='x')])
    assert 'another batch size (4 instead of 2)' in again(settings=ScoringSettings(batch=2))
    with monkeypatch.context() as patch:
        patch.setattr(classifier, 'device', replace(classifier.device, name='cuda:1'))
        assert 'another kind of device (cpu instead of cuda)' in again()
    assert 'another decision (none instead of x)' in again(
        settings=replace(FOUR, decision=Decision('x', {}))
    )
    # Where nobody asks for a size, that of before is taken.
    begun = score(items, classifier, out, prepare_here, ScoringSettings(), resume=True)
    assert next(begun).batch == 4
    begun.close()


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.skipif(sys.platform == 'win32', reason='signals')
def test_killed_in_the_middle_it_goes_on_to_the_same_table(
    whole, folder, items, classifier, model_file, tmp_path
):
    out = tmp_path / 'killed.csv'
    code = f"""
import os, signal
from napari_cxr.inference.classifier import Classifier
from napari_cxr.scoring import RowScored, ScoringSettings, list_items, score
from napari_cxr.workers.decoder_pool import DecoderPool

items = list_items([{str(folder)!r}], 'folders')
classifier = Classifier.load({str(model_file)!r}, 'cpu')
seen = 0
prepare, settings = DecoderPool(2).prepare, ScoringSettings(batch=4, backend='torch')
for event in score(items, classifier, {str(out)!r}, prepare, settings):
    seen += isinstance(event, RowScored)
    if seen == 3:
        os.kill(os.getpid(), signal.SIGKILL)
"""
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()
    journal = journal_of(out)
    assert not out.exists() and len(journal.read_bytes().splitlines()) >= 4
    with journal.open('ab') as file:
        file.write(b'1234abcd {"number":')  # what a power cut leaves
    events = list(score(items, classifier, out, prepare_here, FOUR, resume=True))
    started = next(event for event in events if isinstance(event, ScoringStarted))
    assert started.done >= 3 and isinstance(events[-1], ScoringFinished)
    assert out.read_bytes() == whole[1]


def test_a_full_disk_is_said_and_gone_on_after(whole, items, classifier, tmp_path, monkeypatch):
    out = tmp_path / 'x.csv'
    write, calls = os.write, []

    def full(file, content):
        calls.append(len(content))
        if len(calls) > 2:
            raise OSError(28, 'No space left on device')
        return write(file, content)

    with monkeypatch.context() as patch:
        patch.setattr(os, 'write', full)
        with pytest.raises(ScoringError, match=r'No space left on device.*make room and resume'):
            list(score(items, classifier, out, prepare_here, FOUR))
    again = list(score(items, classifier, out, prepare_here, FOUR, resume=True))
    assert again[0].done == 1 and out.read_bytes() == whole[1]


@pytest.mark.skipif(sys.platform == 'win32', reason='limits of a process')
def test_a_disk_that_is_full_for_the_rows_or_for_the_table(items, classifier, tmp_path):
    import resource

    list(score(items, classifier, tmp_path / 'whole.jsonl', prepare_here, FOUR))
    whole = (tmp_path / 'whole.jsonl').read_bytes()  # larger than its journal
    out, (soft, hard) = tmp_path / 'x.jsonl', resource.getrlimit(resource.RLIMIT_FSIZE)

    def on_disk_of(size, resume):
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
        try:
            list(score(items, classifier, out, prepare_here, FOUR, resume=resume))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    with pytest.raises(ScoringError, match=r'journal cannot be written: File too large.*resume'):
        on_disk_of(2000, False)
    assert not out.exists() and journal_of(out).stat().st_size <= 2000
    with pytest.raises(ScoringError, match=r'x\.jsonl cannot be written: File too large.*resume'):
        on_disk_of(len(whole) - 1, True)
    assert not out.exists() and not [path for path in tmp_path.iterdir() if '.part' in path.name]
    again = list(score(items, classifier, out, prepare_here, FOUR, resume=True))
    assert again[0].done == 8 and out.read_bytes() == whole


def test_places_where_nothing_can_be_written_are_said_before_anything_is_read(
    items, classifier, tmp_path, monkeypatch
):
    def never(todo, wanted):
        raise AssertionError('nothing is read')
        yield

    (tmp_path / 'file').touch()
    for out, said in (
        (tmp_path / 'no' / 'x.csv', 'There is no folder'),
        (tmp_path / 'x.txt', '.csv'),
        (tmp_path / 'file' / 'x.csv', 'file is no folder'),
    ):
        with pytest.raises(ScoringError, match=said):
            list(score(items, classifier, out, never))
    maps = ScoringSettings(heatmaps=tmp_path / 'file' / 'maps')
    with pytest.raises(ScoringError, match='cannot be made: Not a directory'):
        list(score(items, classifier, tmp_path / 'x.csv', never, maps))
    shut = tmp_path / 'shut'
    shut.mkdir()
    monkeypatch.setattr(os, 'access', lambda path, _: path != shut)
    with pytest.raises(ScoringError, match='Nothing can be written'):
        list(score(items, classifier, shut / 'x.csv', never))
    with pytest.raises(ScoringError, match='Nothing can be written'):
        list(score(items, classifier, tmp_path / 'x.csv', never, ScoringSettings(heatmaps=shut)))


def test_heatmaps_of_another_table_are_not_overwritten(items, classifier, tmp_path):
    from napari_cxr.scoring.cluster import score_on_cluster

    settings = ScoringSettings(batch=4, heatmaps=tmp_path / 'maps')
    list(score(items[:3], classifier, tmp_path / 'x.csv', prepare_here, settings))
    before = {path: path.read_bytes() for path in (tmp_path / 'maps').iterdir()}
    assert len(before) == 4
    said = 'heatmaps of another table.*choose another folder'
    with pytest.raises(ScoringError, match=said):
        list(score(items[3:], classifier, tmp_path / 'y.csv', prepare_here, settings))
    nobody = 'tcp://127.0.0.1:1'
    with pytest.raises(ScoringError, match=said):
        list(
            score_on_cluster(
                items, classifier, tmp_path / 'y.csv', nobody, None, settings, model='x'
            )
        )
    assert {path: path.read_bytes() for path in (tmp_path / 'maps').iterdir()} == before
    assert not journal_of(tmp_path / 'y.csv').exists()


@pytest.mark.parametrize('stem', ['é' * 127, 'x' * 250, '肺' * 80])
def test_pictures_of_long_names_have_room(tmp_path, stem):
    from napari_cxr.scoring.heatmap_files import heatmap_path

    name = heatmap_path(tmp_path, 6, f'/x/{stem}.dcm')
    kept = name.stem.removeprefix('0000007-')
    assert stem.startswith(kept) and 108 <= len(os.fsencode(kept)) <= 110
    name.with_name(f'.{name.name}.part').touch()


def test_rows_that_never_came_are_missed(items, classifier, tmp_path, whole):
    def losing(todo, wanted):
        for number, result in prepare_here(todo, wanted):
            if number != 5:
                yield number, result

    out = tmp_path / 'x.csv'
    with pytest.raises(ScoringError, match=r'4 of 8 rows are missing.*resume'):
        list(score(items, classifier, out, losing, FOUR))
    assert not out.exists()
    list(score(items, classifier, out, prepare_here, FOUR, resume=True))
    assert out.read_bytes() == whole[1]


@pytest.fixture
def short_of_memory(classifier, monkeypatch):
    """Let only two images fit; returns the sizes that are asked for."""
    import torch

    real, sizes = classifier.network, []

    class Large:
        def __getattr__(self, name):
            return getattr(real, name)

        def __call__(self, x):
            sizes.append(len(x))
            if len(x) > 2:
                raise torch.OutOfMemoryError('full')
            return real(x)

    monkeypatch.setattr(classifier, 'network', Large())
    return sizes


def test_out_of_memory_halves_the_batch_and_the_rows_are_the_same(
    items, classifier, tmp_path, short_of_memory, cores
):
    cores(1)
    events = list(score(items, classifier, tmp_path / 'x.csv', prepare_here, FOUR))
    assert short_of_memory == [4, 2, 2, 2, 2], 'and it stays with what fits'
    (warned,) = (event for event in events if isinstance(event, ScoringWarned))
    assert 'batches of 2' in warned.text
    assert sum(row['status'] == 'scored' for row in rows_of(tmp_path / 'x.csv')) == 7


def test_out_of_memory_in_two_batches_at_once_is_said_once(
    items, classifier, tmp_path, short_of_memory, monkeypatch, cores
):
    real, both = classifier.logits, threading.Barrier(2, timeout=60)

    def logits(*arguments):
        both.wait()
        found = real(*arguments)
        both.wait()
        return found

    cores(2)
    monkeypatch.setattr(classifier, 'logits', logits)
    events = list(score(items, classifier, tmp_path / 'x.csv', prepare_here, FOUR))
    assert sum(isinstance(event, ScoringWarned) for event in events) == 1
    assert sum(row['status'] == 'scored' for row in rows_of(tmp_path / 'x.csv')) == 7


def test_an_answer_that_is_no_number_is_an_error(items, classifier, tmp_path, monkeypatch):
    def logits(images, at_most):
        found = np.zeros((len(images), 3), np.float32)
        found[0] = np.nan
        return found, len(images)

    monkeypatch.setattr(classifier, 'logits', logits)
    list(score(items, classifier, tmp_path / 'x.csv', prepare_here, FOUR))
    assert 'no number' in rows_of(tmp_path / 'x.csv')[0]['error']


def test_cancelled_while_nothing_comes(items, classifier, tmp_path):
    closed = []

    def hanging(todo, wanted):
        try:
            while True:
                yield None
        finally:
            closed.append(True)

    events = score(items, classifier, tmp_path / 'x.csv', hanging, FOUR)
    found = [next(events) for _ in range(3)]
    assert [type(event) for event in found] == [ScoringStarted, ScoringProgress, ScoringProgress]
    assert np.isnan(found[2].seconds_left)
    events.close()
    assert closed == [True]


def test_heatmaps_have_pictures_numbers_and_shares(items, classifier, tmp_path):
    large = (255 * np.random.default_rng(0).random((1500, 700))).astype(np.uint8)
    iio.imwrite(Path(items[0].path), large)
    maps = tmp_path / 'maps'
    settings = ScoringSettings(batch=4, heatmaps=maps)
    list(score(items[:3], classifier, tmp_path / 'x.csv', prepare_here, settings))
    first, failed, second = rows_of(tmp_path / 'x.csv')
    assert not failed['heatmap'] and len(list(maps.iterdir())) == 4
    assert iio.imread(first['heatmap']).shape == (1024, 478, 3)
    for row, item in ((first, items[0]), (second, items[2])):
        _, there = classifier.explain(image_files.read(item.path))
        with np.load(row['heatmap'].removesuffix('png') + 'npz') as numbers:
            for heatmap in there:
                np.testing.assert_allclose(numbers[heatmap.label], heatmap.values, atol=1e-5)
            np.testing.assert_allclose(numbers['to_radiograph'], there[0].to_radiograph)
        assert 0 <= float(row['heatmap_lung_share']) <= 1
        assert 0 < float(row['heatmap_lung_share_if_even']) < 1
        assert row['lung_field'] in ('network', 'atlas')


def test_where_heatmaps_lie_is_told_without_pictures_too(items, classifier, tmp_path):
    drawn = ScoringSettings(batch=4, heatmaps=tmp_path / 'maps')
    list(score(items, classifier, tmp_path / 'drawn.csv', prepare_here, drawn))
    asked = []

    def reading(todo, wanted):
        asked.append((wanted.lungs, wanted.picture))
        yield from prepare_here(todo, wanted)

    said = replace(FOUR, shares=True)
    list(score(items, classifier, tmp_path / 'said.csv', reading, said))
    list(score(items, classifier, tmp_path / 'plain.csv', reading, FOUR))
    assert asked == [(True, False), (False, False)]
    rows = rows_of(tmp_path / 'drawn.csv')
    for row in rows:
        del row['heatmap']
    assert rows_of(tmp_path / 'said.csv') == rows
    assert 'heatmap_lung_share' not in rows_of(tmp_path / 'plain.csv')[0]


def test_lungs_are_not_looked_for_where_nothing_needs_them(items, classifier, monkeypatch):
    from napari_cxr import lungs
    from napari_cxr.lungs import frontal_check
    from napari_cxr.scoring import PrepareOptions
    from napari_cxr.scoring.image_preparation import prepare_image

    looked = []
    monkeypatch.setattr(lungs, 'find_lungs', lambda *_, **__: looked.append(True))
    monkeypatch.setattr(
        frontal_check, 'orientation_scores', lambda _: np.full(8, -1e3)
    )  # it is sure
    prepare_image(Path(items[0].path), PrepareOptions(classifier.preprocessing))
    assert not looked


def test_patients_of_a_table_are_numbers_in_ours(folder, classifier, tmp_path):
    lines = [f'{p.relative_to(folder)},{p.parent.name},DOE-{i % 3}' for i, p in
             enumerate(sorted(folder.rglob('*.png')))]  # fmt: skip
    (folder / 'list.csv').write_text('path,label,patient\n' + '\n'.join(lines))
    out = tmp_path / 'x.csv'
    events = list(score(list_items([folder / 'list.csv']), classifier, out, prepare_here, FOUR))
    assert [row['patient'] for row in rows_of(out)] == [str(i % 3 + 1) for i in range(8)]
    assert 'DOE' not in out.read_text() and events[-1].metrics['patients'] == 3


def test_figures_come_on_the_way_and_at_the_end_alike(items, classifier, tmp_path, monkeypatch):
    from napari_cxr.scoring import score_evaluation

    monkeypatch.setattr(score_evaluation, '_FIRST', 4)
    monkeypatch.setattr(
        score_evaluation.BackgroundThread, 'ended', lambda self, _=0.0: self._ended.wait(60)
    )
    events = list(score(items, classifier, tmp_path / 'x.csv', shuffled(1), FOUR))
    (measured,) = (event for event in events if isinstance(event, ScoringMeasured))
    assert 4 <= measured.metrics['images'] <= 7
    assert not any(
        isinstance(event, ScoringMeasured)
        for event in score(
            list_items([items[0].path]), classifier, tmp_path / 'y.csv', prepare_here
        )
    )
    assert events[-1].metrics['images'] == 7


def test_cancelled_while_the_table_is_written(items, classifier, tmp_path, monkeypatch, whole):
    from napari_cxr.scoring import table_writer
    from napari_cxr.scoring.background_thread import BackgroundThread

    out, begun, left = tmp_path / 'x.csv', threading.Event(), threading.Event()
    write, drop = table_writer.write_table, BackgroundThread.drop

    def slow(path, rows, run):
        def waiting():
            for row in rows:
                begun.set()
                assert left.wait(60)
                yield row

        write(path, waiting(), run)

    def leave(work):
        work._unwanted.set()
        if not begun.is_set():
            return
        left.set()
        drop(work)
        assert work.ended(60)

    with monkeypatch.context() as patch:
        patch.setattr(table_writer, 'write_table', slow)
        patch.setattr(BackgroundThread, 'drop', leave)
        events = score(items, classifier, out, prepare_here, FOUR)
        for _ in events:
            if begun.is_set():
                break
        events.close()
        assert left.is_set() and not out.exists()
        assert not [path for path in tmp_path.iterdir() if path.name.endswith('.part')]
    list(score(items, classifier, out, prepare_here, FOUR, resume=True))
    assert out.read_bytes() == whole[1]


def test_the_backend_is_named_and_kept_when_resumed(items, classifier, tmp_path):
    named = replace(FOUR, backend='torch channels_last')
    out = tmp_path / 'x.csv'
    events = score(items, classifier, out, prepare_here, named)
    started = next(event for event in events if isinstance(event, ScoringStarted))
    assert started.backend == classifier.backend.name == 'torch channels_last'
    events.close()
    classifier.use()
    single = replace(FOUR, precision='float32')
    with pytest.raises(ScoringError, match=r'another choice of precision \(auto instead'):
        list(score(items, classifier, out, prepare_here, single, resume=True))
    with pytest.raises(ScoringError, match=r'backend torch channels_last and keeps it'):
        list(
            score(
                items, classifier, out, prepare_here, replace(FOUR, backend='torch'), resume=True
            )
        )
    events = list(score(items, classifier, out, prepare_here, FOUR, resume=True))
    started = next(event for event in events if isinstance(event, ScoringStarted))
    assert started.backend == classifier.backend.name == 'torch channels_last'
    said = {(row['status'], row['backend'], row['precision']) for row in rows_of(out)}
    assert said == {('scored', 'torch channels_last', 'float32'), ('error', '', '')}


def test_closed_while_the_network_is_prepared(items, classifier, tmp_path, monkeypatch):
    """A library may convert and compile for half a minute."""
    go_on, ended = threading.Event(), threading.Event()

    def wait(*_):
        assert go_on.wait(60)
        ended.set()
        return classifier.running

    monkeypatch.setattr(classifier, 'network_on', wait)
    named = replace(FOUR, backend='torch channels_last')
    events = score(items, classifier, tmp_path / 'x.csv', prepare_here, named)
    said = [next(events) for _ in range(3)]
    assert all(isinstance(event, ScoringPreparing) for event in said)
    events.close()
    assert not ended.is_set() and classifier.backend.name == 'torch'
    go_on.set()
    assert ended.wait(60)
    assert classifier.backend.name == 'torch', 'what comes too late changes nothing'


def test_a_backend_that_is_missing_is_an_error_that_says_what_to_do(
    items, classifier, tmp_path, monkeypatch
):
    """Where the table was started on it, no other will do."""
    from napari_cxr.inference.backends import selection

    out = tmp_path / 'x.csv'
    named = replace(FOUR, backend='torch channels_last')
    for event in (events := score(items, classifier, out, prepare_here, named)):
        if isinstance(event, RowScored):
            break
    events.close()
    monkeypatch.setattr(classifier, '_last', (None, None))  # in another process
    monkeypatch.setattr(selection, 'why_unavailable', lambda *_: 'It is not installed.')
    with pytest.raises(ScoringError, match=r'not installed\. Here there is'):
        list(score(items, classifier, out, prepare_here, FOUR, resume=True))


def test_reduced_precision_is_in_the_row(items, classifier, tmp_path, monkeypatch):
    from napari_cxr.inference import device

    monkeypatch.setattr(device, 'supports_bfloat16', lambda _: True)
    reduced = replace(FOUR, backend='torch channels_last', precision='bfloat16')
    list(score(items, classifier, tmp_path / 'x.csv', prepare_here, reduced))
    said = {
        (row['status'], row['backend'], row['precision']) for row in rows_of(tmp_path / 'x.csv')
    }
    assert said == {('scored', 'torch channels_last', 'bfloat16'), ('error', '', '')}


def test_a_table_without_the_column_backend_gets_it_with_new_files(items, classifier, tmp_path):
    """As version 0.1 wrote tables, and their journals."""
    out, journal = tmp_path / 'x.csv', journal_of(tmp_path / 'x.csv')
    list(score(items[:4], classifier, out, prepare_here, FOUR))
    rows = rows_of(out)
    with out.open('w', newline='') as file:
        writer = csv.DictWriter(file, [name for name in rows[0] if name != 'backend'],
                                extrasaction='ignore')  # fmt: skip
        writer.writeheader()
        writer.writerows(rows)
    list(score(items, classifier, out, prepare_here, FOUR, resume=True))
    assert [row['backend'] for row in rows_of(out)] == ['', '', '', ''] + ['torch'] * 4
    assert not journal.exists()


def test_a_journal_without_the_backend_becomes_a_table_without_it(items, classifier, tmp_path):
    out, journal = tmp_path / 'x.csv', journal_of(tmp_path / 'x.csv')
    for event in (events := score(items, classifier, out, prepare_here, FOUR)):
        if isinstance(event, RowScored):
            break
    events.close()
    first, *lines = journal.read_bytes().splitlines(keepends=True)
    header = json.loads(first[9:])
    assert header.pop('backend') is True and header['way'] == 'eager'
    text = json.dumps(header, separators=(',', ':')).encode()
    journal.write_bytes(b''.join([b'%08x %s\n' % (zlib.crc32(text), text), *lines]))
    list(score(items, classifier, out, prepare_here, FOUR, resume=True))
    assert len(rows_of(out)) == 8 and 'backend' not in rows_of(out)[0]


@pytest.mark.parametrize('hurt', ['.png', '.npz'])
@pytest.mark.parametrize('cut', [0, 40, None])
def test_a_picture_that_a_power_cut_took_is_drawn_again(items, classifier, tmp_path, hurt, cut):
    settings, out = ScoringSettings(batch=4, heatmaps=tmp_path / 'maps'), tmp_path / 'x.csv'
    for event in (events := score(items, classifier, out, prepare_here, settings)):
        if isinstance(event, RowScored) and event.row.number == 3:
            break
    events.close()
    picture = next(path for path in (tmp_path / 'maps').iterdir() if path.suffix == hurt)
    content = picture.read_bytes()
    if cut is None:
        picture.unlink()
    else:
        picture.write_bytes(content[:cut])
    again = list(score(items, classifier, out, prepare_here, settings, resume=True))
    assert again[0].done == 3 and picture.read_bytes() == content
    assert len(rows_of(out)) == 8


def test_a_heatmap_lies_on_the_small_picture_as_on_the_radiograph(items, classifier):
    from napari_cxr.explain.heatmap import draw_heatmap
    from napari_cxr.scoring import PrepareOptions, heatmap_files
    from napari_cxr.scoring.image_preparation import prepare_image

    path = Path(items[0].path)
    iio.imwrite(path, np.zeros((1400, 1200), np.uint8))
    ready = prepare_image(path, PrepareOptions(classifier.preprocessing, picture=True))
    _, (heatmap, *_) = classifier.explain(image_files.read(path))
    heatmap = replace(heatmap, values=np.eye(4, dtype=np.float32))
    on_picture = heatmap_files._on_picture(heatmap, ready)
    small = draw_heatmap(np.zeros(ready.picture.shape, np.float32), on_picture, 1.0).astype(float)
    full = draw_heatmap(np.zeros((1400, 1200), np.float32), heatmap, 1.0).astype(float)
    rows = ((np.arange(ready.picture.shape[0]) + 0.5) * 1400 / ready.picture.shape[0]).astype(int)
    cols = ((np.arange(ready.picture.shape[1]) + 0.5) * 1200 / ready.picture.shape[1]).astype(int)
    assert np.abs(full[np.ix_(rows, cols)] - small).max() <= 6
    assert small.max() > 50


def test_the_decision_and_the_models_own_cautions_are_in_the_row(
    items, classifier, tmp_path, monkeypatch
):
    own = ImageWarning('lung-field', 'Another field.')
    monkeypatch.setattr(classifier, 'with_own_warnings', lambda found: (*found, own))
    decision = Decision('x', {'normal': 0.0, 'covid19': 1.1})
    out = tmp_path / 'x.jsonl'
    list(score(items, classifier, out, prepare_here, replace(FOUR, decision=decision)))
    scored = [row for row in map(json.loads, out.read_text().splitlines()) if not row['error']]
    assert all((row['positive_normal'], row['positive_covid19']) == (1, 0) for row in scored)
    assert all(row['warning_lung_field'].endswith('Another field.') for row in scored)


def test_whose_it_is_is_told_only_where_asked_for(classifier, tmp_path):
    from napari_cxr import samples

    samples.write_phantom_dicom(
        tmp_path / 'a.dcm',
        pixels=np.arange(3120, dtype=np.uint16).reshape(60, 52),
        attributes={'PatientID': 'DOE-7'},
    )
    items = list_items([tmp_path / 'a.dcm'])
    for identify in (False, True):
        out = tmp_path / f'{identify}.csv'
        list(score(items, classifier, out, prepare_here, ScoringSettings(identify=identify)))
        assert ('DOE-7' in out.read_text()) == identify
    assert rows_of(tmp_path / 'True.csv')[0]['patient_id'] == 'DOE-7'


@pytest.fixture
def known(classifier, monkeypatch):
    """The model with a card that says for which prevalence its probabilities hold."""
    labels = classifier.labels
    card = replace(classifier.card, prevalence={labels[0]: 0.5, labels[1]: 0.3, labels[2]: 0.2})
    monkeypatch.setattr(classifier, 'card', card)
    return classifier


def test_a_stated_prevalence_moves_probabilities_by_bayes_rule(whole, items, known, tmp_path):
    first, second, third = known.labels
    there = replace(FOUR, prior={first: 0.9})
    list(score(items, known, tmp_path / 'there.csv', prepare_here, there))
    old, new = rows_of(tmp_path / 'whole.csv'), rows_of(tmp_path / 'there.csv')
    # What is not named shares the rest as before: 0.06 and 0.04 of 0.3 and 0.2.
    for before, after in zip(old, new, strict=True):
        stated = [after[f'prevalence_{label}'] for label in known.labels]
        assert [float(p) for p in stated] == pytest.approx([0.9, 0.06, 0.04])
        if before['status'] == 'error':
            continue
        weights = {first: 0.9 / 0.5, second: 0.06 / 0.3, third: 0.04 / 0.2}
        moved = {k: float(before[f'p_{k}']) * weights[k] for k in known.labels}
        for label in known.labels:
            expected = moved[label] / sum(moved.values())
            assert float(after[f'p_{label}']) == pytest.approx(expected, abs=1e-6)
    assert known.card.prevalence[first] == 0.5  # the model itself stays as it is
    run, rows = table_reader.read_rows(tmp_path / 'there.csv')
    assert run.rule['prevalence'][first] == pytest.approx(0.9)
    write_table(tmp_path / 'copy.csv', rows, run)
    assert (tmp_path / 'copy.csv').read_bytes() == (tmp_path / 'there.csv').read_bytes()


def test_rows_of_two_prevalences_do_not_share_a_table(items, known, tmp_path):
    out, there = tmp_path / 't.csv', replace(FOUR, prior={known.labels[0]: 0.9})
    list(score(items, known, out, prepare_here, there))
    with pytest.raises(ScoringError, match='another prevalence'):
        list(score(items, known, out, prepare_here, FOUR, resume=True))
    events = score(items, known, tmp_path / 'other.csv', prepare_here, there)
    next(e for e in events if isinstance(e, RowScored))
    events.close()
    with pytest.raises(ScoringError, match='another prevalence'):
        list(score(items, known, tmp_path / 'other.csv', prepare_here, FOUR, resume=True))


def test_a_prevalence_that_cannot_be_stated_is_refused_before_anything_is_written(
    items, classifier, tmp_path
):
    there = replace(FOUR, prior={classifier.labels[0]: 0.1})
    with pytest.raises(ScoringError, match='does not say for which prevalence'):
        list(score(items, classifier, tmp_path / 't.csv', prepare_here, there))
    assert not list(tmp_path.glob('t.csv*'))
