"""Readers of one table compared, and exported."""

import csv
import json

import pytest
from typer.testing import CliRunner

from napari_cxr.cli import app
from napari_cxr.scoring import ScoreRow, table_writer
from napari_cxr.scoring.annotation import ReadingCircumstances
from napari_cxr.scoring.annotation.agreement import agreement_of, consensus_of, readings_of
from napari_cxr.scoring.annotation.agreement_text import (
    agreement_sentences,
    agreement_statistics,
    reading_sentences,
)
from napari_cxr.scoring.annotation.readers import CONSENSUS, Reader, labels_path_of
from napari_cxr.scoring.annotation.reading_list import ReadingList
from napari_cxr.scoring.score_row import ScoringRun

LABELS = ('normal', 'pneumonia')
RUN = ScoringRun('tiny', '0' * 12, LABELS, {}, '0', patients=True)
ROWS = [
    *[
        ScoreRow(n, f'{n}.png', 'scored', label='normal', probabilities=(0.6, 0.4), patient=f'{n}')
        for n in range(12)
    ],
    ScoreRow(12, 'broken.png', 'error', error='It is damaged.'),
]
#: N normal, P pneumonia, U unsure, X not usable, a point for what was not read.
ANNA, BEN, CARL = 'NNNNNNPPPPU.', 'NNNNNPPPPNNN', 'NNNNNNPPPP.X'


def read(table, reader, answers, labels=LABELS, seconds=4.0):
    opened = ReadingList.open(table, labels, reader=reader)
    how = ReadingCircumstances('f' * 16, 100, seconds, blinded=True)
    for number, answer in enumerate(answers):
        path = f'{number}.png'
        if answer in 'NP':
            opened.set(path, [labels['NP'.index(answer)]], how=how)
        elif answer == 'U':
            opened.unsure(path, how)
        elif answer == 'X':
            opened.unusable(path, 'motion blur', how)
    opened.close()


@pytest.fixture
def table(tmp_path):
    table = tmp_path / 'scores.csv'
    table_writer.write_table(table, ROWS, RUN)
    return table


def report(table):
    return agreement_of(readings_of(table, LABELS), ROWS, RUN)


def test_two_readers_by_hand(table):
    read(table, Reader('Anna'), ANNA)
    assert 'one reader so far' in agreement_sentences(report(table))[0]
    read(table, Reader('Ben'), BEN)
    found = report(table)
    (pair,) = found.pairs
    # Images 0 to 9: alike on 8. Anna says normal 6 times, Ben 6 times: by chance .52.
    assert (pair.images, pair.agreed, pair.left_out) == (10, 8, 1)
    assert pair.kappa.value == pytest.approx((0.8 - 0.52) / 0.48)
    assert pair.kappa.low < pair.kappa.value < pair.kappa.high
    assert found.disagreements == ('5.png', '9.png', '10.png') and found.together == ()
    assert agreement_sentences(found) == [
        'Anna and Ben agree on 8 of 10 images (80 %).',
        'Readers disagree on 3 images: 3 left to settle.',
    ]
    assert 'kappa 0.58 (' in agreement_statistics(found)[0]
    assert reading_sentences(found)[0] == ('Anna: 11 of 12, 1 unsure, blinded, 4.0 s an image.')


def test_three_readers_a_second_reading_and_a_consensus(table):
    for name, answers in (('Anna', ANNA), ('Ben', BEN), ('Carl', CARL)):
        read(table, Reader(name), answers)
    read(table, Reader('anna', 2), 'NNNNNPPPPPN.')
    found = report(table)
    (together,) = found.together
    # 10 images: 8 alike, 2 with two of three. 18 of 30 answers are normal: chance .36 + .16.
    assert together.kappa.value == pytest.approx(((8 + 2 / 3) / 10 - 0.52) / 0.48)
    (again,) = [pair for pair in found.pairs if pair.is_of_one_person]
    assert (again.images, again.agreed) == (10, 9)
    assert 'Anna gave the same answer twice on 9 of 10 images (90 %).' in agreement_sentences(
        found
    )
    # Anna's second answers count: 5 is now P as Ben's, but Carl's is N.
    assert found.disagreements == ('5.png', '9.png', '11.png') and found.settled == 0
    read(table, CONSENSUS, '.....P...P.')
    found = report(table)
    assert found.settled == 2 and len(found.pairs) == 6  # the consensus is no reader
    counts = consensus_of(readings_of(table, LABELS), [row.path for row in ROWS])
    assert counts['5.png'].labels == ('pneumonia',) and '11.png' not in counts
    assert counts['10.png'].labels == ('normal',)


def test_findings_are_compared_one_by_one(tmp_path):
    table, labels = tmp_path / 'findings.csv', ('effusion', 'nodule')
    run = ScoringRun('tiny', '0' * 12, labels, {}, '0', multilabel=True)
    for name, given in (('Anna', [0, 1, 1, 0]), ('Ben', [0, 1, 0, 1])):
        opened = ReadingList.open(table, labels, reader=Reader(name))
        for number, effusion in enumerate(given):
            opened.set(f'{number}.png', ['effusion'] * effusion + ['nodule'] * (number > 1))
        opened.close()
    found = agreement_of(readings_of(table, labels), ROWS, run)
    assert [(pair.label, pair.agreed) for pair in found.pairs] == [('effusion', 2), ('nodule', 4)]
    assert [pair.kappa.value for pair in found.pairs] == [0, 1]
    assert (
        agreement_sentences(found)[0] == 'Anna and Ben agree, of 4 images: effusion 2, nodule 4.'
    )


def test_files_that_do_not_count_are_named(table):
    read(table, Reader('Anna'), ANNA)
    labels_path_of(table, Reader('Ben')).write_bytes(b'no list\n')
    read(table, Reader('Carl'), 'NP', labels=('a', 'b'))
    labels_path_of(table, Reader('Anna')).rename(labels_path_of(table, Reader('Dora')))
    problems = []
    assert readings_of(table, LABELS, problems) == []
    assert len(problems) == 2 and 'scores.csv.ben.labels is not a list' in problems[0]
    assert 'for other classes' in problems[1]


def test_command_writes_a_row_for_each_image_and_reader(table, tmp_path):
    def run(*words):
        return CliRunner().invoke(app, ['agreement', str(table), *map(str, words)])

    out = tmp_path / 'readings.csv'
    refused = run('--out', out)
    assert refused.exit_code == 2 and 'Nobody has labelled' in refused.output
    read(table, Reader('Anna'), ANNA)
    read(table, Reader('=Ben'), CARL)
    done = run('--out', out)
    assert done.exit_code == 0 and 'agree on 10 of 10 images (100 %)' in done.stdout
    with out.open(newline='') as file:
        lines = list(csv.DictReader(file))
    assert len(lines) == 11 + 11 and {line['reader'] for line in lines} == {'Anna', "'=Ben"}
    last = lines[-1]
    assert (last['path'], last['answer'], last['reason']) == (
        '11.png',
        'not usable',
        'motion blur',
    )
    assert (last['blinded'], last['seconds'], last['patient']) == ('yes', '4.0', 'patient 12')
    assert lines[0]['consensus'] == 'normal' and lines[0]['image_hash'] == 'f' * 16
    stored = json.loads((tmp_path / 'readings.agreement.json').read_text())
    assert stored == json.loads(run('--json').stdout)
    assert stored['pairs'][0]['kappa'] == [1.0, None, None] and stored['unit'] == 'patients'
    assert run('--out', table).exit_code == 2
