import pytest

from napari_cxr.evaluation.evaluation_images import class_of_labels, list_images
from napari_cxr.scoring.input_lists import Item, ListingError
from napari_cxr.scoring.score_row import NO_FINDING


@pytest.fixture
def folder(tmp_path):
    """A folder that describes itself."""
    root = tmp_path / 'hospital images'
    root.mkdir()
    rows = ['path,label,hospital,Projection,split,machine']
    for i in range(4):
        (root / f'{i}.png').write_bytes(b'not opened here')
        rows.append(f'{i}.png,{("well", "sick")[i % 2]},h{i // 2},AP,test,m{i}')
    (root / 'manifest.csv').write_text('\n'.join(rows))
    return root


def test_a_folder_with_a_manifest_is_that_table(folder):
    images = list_images(folder, by=['machine', 'source'])
    assert images.name == 'hospital images'
    assert images.splits == {'test'}
    assert [item.source for item in images.items] == ['h0', 'h0', 'h1', 'h1']
    assert set(images.columns) == {'view', 'machine'}  # source is one of every item's own
    assert images.columns['machine'][images.items[2].path] == 'm2'
    assert images.columns['view'][images.items[0].path] == 'AP'


def test_class_folders_give_labels(tmp_path):
    for name in ('well', 'sick'):
        (tmp_path / name).mkdir()
        (tmp_path / name / 'a.png').write_bytes(b'')
    images = list_images(tmp_path)
    assert sorted(item.truth for item in images.items) == ['sick', 'well']
    with pytest.raises(ListingError, match=r"has no column 'machine'.*give a table"):
        list_images(tmp_path, by=['machine'])


def test_a_column_that_is_not_there(folder):
    with pytest.raises(ListingError, match=r"no column 'scanner'. Its columns are: path"):
        list_images(folder, by=['scanner'])


def test_a_table_without_labels(folder):
    (folder / 'paths.csv').write_text('path\n0.png\n')
    with pytest.raises(ListingError, match=r'--label-column'):
        list_images(folder / 'paths.csv')


def test_labels_of_other_names():
    mapped = class_of_labels(
        {'opacity': ['Pneumonia', 'covid19'], 'none': ['normal']}, ['opacity', 'mass']
    )
    said = {one: mapped(Item('x', truth=one)).truth for one in ('pneumonia', 'normal', 'mass')}
    assert said == {'pneumonia': 'opacity', 'normal': NO_FINDING, 'mass': 'mass'}
    assert mapped(Item('x', truth='covid19|mass|normal')).truth == 'mass|opacity'
    assert mapped(Item('x')).truth == ''
    with pytest.raises(ListingError, match=r"no class 'cancer'; it has 'opacity', 'mass'"):
        class_of_labels({'cancer': ['tumour']}, ['opacity', 'mass'])
