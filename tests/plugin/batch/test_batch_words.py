"""What is said of figures."""

from napari_cxr.plugin.batch import words


def test_of_a_few_it_is_said_how_few_they_are():
    metrics = {'images': 24, 'patients': 24, 'few': {'normal': 4, 'no effusion': 2}}
    said = words.counted(metrics, 0, so_far=False)
    assert 'Few images: normal 4, no effusion 2. With fewer than 10' in said
    said = words.counted(metrics | {'patients': 9}, 0, so_far=False)
    assert said.startswith('24 images with a label, of 9 patients. Few patients: normal 4')
    assert 'Few' not in words.counted(metrics | {'few': {}}, 0, so_far=False)
