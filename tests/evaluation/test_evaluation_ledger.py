import pytest

from napari_cxr.evaluation.evaluation_ledger import (
    EvaluationLedger,
    EvaluationRecord,
    data_fingerprint,
)


def test_records_are_counted_by_set_and_purpose_and_kept(tmp_path):
    records = EvaluationLedger(tmp_path / 'ledger' / 'records.jsonl')
    records.add('north', 'linear', 'report', 0.7)
    records.add('north', 'trees', 'choose', 0.6)
    records.add('south', 'linear', 'report', 0.8)
    again = EvaluationLedger(records.path)
    assert [record.configuration for record in again] == ['linear', 'trees', 'linear']
    assert again.count() == 3
    assert again.count('north') == 2
    assert again.count(purpose='report') == 2
    assert again.count('north', 'choose') == 1


def test_the_same_evaluation_again_adds_no_record(tmp_path):
    records = EvaluationLedger(tmp_path / 'records.jsonl')
    records.add('north', 'linear', 'report', 0.7)
    records.add('north', 'linear', 'report', 0.7)
    records.add('north', 'linear', 'choose', 0.7)
    assert records.count() == 2
    assert len(records.path.read_text().splitlines()) == 2


def test_a_record_needs_a_purpose(tmp_path):
    with pytest.raises(ValueError, match='purpose'):
        EvaluationLedger(tmp_path / 'records.jsonl').add('north', 'linear', 'fun', 0.7)


@pytest.mark.parametrize('line', ['nonsense', '{"images": "north"}', '[]'])
def test_a_damaged_ledger_is_named(tmp_path, line):
    path = tmp_path / 'records.jsonl'
    EvaluationLedger(path).add('north', 'linear', 'report', 0.7)
    with path.open('a') as file:
        file.write(line + '\n')
    with pytest.raises(ValueError, match=r'Line 2 of records\.jsonl'):
        EvaluationLedger(path)


def test_every_look_is_a_line_with_its_time(tmp_path):
    ledger = EvaluationLedger(tmp_path / 'looks.jsonl')
    record = EvaluationRecord('set', 'linear', 'report', 0.71234, model_hash='ab', varied='linear')
    ledger.append([record])
    ledger.append([record])
    first, second = EvaluationLedger(ledger.path)
    assert first.auc == second.auc == 0.7123
    assert first.time and first.model_hash == 'ab'
    assert ledger.count('set') == 2


def test_one_set_has_one_fingerprint_in_whatever_order():
    assert data_fingerprint('abc', 'xyz') == data_fingerprint('cab', 'zxy')
    assert data_fingerprint('abc', 'xyz') != data_fingerprint('abc', 'xyx')
    assert len(data_fingerprint('abc', 'xyz')) == 32
