import pytest

from napari_cxr.evaluation.evaluation_ledger import EvaluationLedger


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
