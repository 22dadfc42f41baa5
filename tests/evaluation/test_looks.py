import pytest

from napari_cxr.evaluation import Looks


def test_looks_are_counted_by_set_and_purpose_and_stay(tmp_path):
    looks = Looks(tmp_path / 'ledger' / 'looks.jsonl')
    looks.add('north', 'linear', 'report', 0.7)
    looks.add('north', 'trees', 'choose', 0.6)
    looks.add('south', 'linear', 'report', 0.8)
    again = Looks(looks.path)
    assert [look.configuration for look in again] == ['linear', 'trees', 'linear']
    assert again.count() == 3
    assert again.count('north') == 2
    assert again.count(purpose='report') == 2
    assert again.count('north', 'choose') == 1


def test_the_same_look_again_is_no_further_one(tmp_path):
    looks = Looks(tmp_path / 'looks.jsonl')
    looks.add('north', 'linear', 'report', 0.7)
    looks.add('north', 'linear', 'report', 0.7)
    looks.add('north', 'linear', 'choose', 0.7)
    assert looks.count() == 2
    assert len(looks.path.read_text().splitlines()) == 2


def test_a_look_needs_a_purpose(tmp_path):
    with pytest.raises(ValueError, match='purpose'):
        Looks(tmp_path / 'looks.jsonl').add('north', 'linear', 'fun', 0.7)


@pytest.mark.parametrize('line', ['nonsense', '{"images": "north"}', '[]'])
def test_a_damaged_ledger_is_named(tmp_path, line):
    path = tmp_path / 'looks.jsonl'
    Looks(path).add('north', 'linear', 'report', 0.7)
    with path.open('a') as file:
        file.write(line + '\n')
    with pytest.raises(ValueError, match=r'Line 2 of looks\.jsonl'):
        Looks(path)
