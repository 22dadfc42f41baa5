"""One file as training takes it: its image and what is known of it, or why it cannot be used."""

import pytest

from napari_cxr.decoding_memory import granted
from napari_cxr.radiograph import UnreadableImage
from napari_cxr.training.training_image import UnusableImage, decode_image, read_in_process


def test_reading_here_gives_images_or_reasons(tmp_path, folder, recipe):
    (tmp_path / 'empty.png').touch()
    items = [(7, folder / 'left' / '0.png'), (3, tmp_path / 'empty.png')]
    results = dict(read_in_process(items, recipe.input, 8))
    assert results[7].image.shape == (33, 33) and results[7].size == (40, 40)
    assert results[7].patient == ''
    assert isinstance(results[3], UnusableImage) and results[3].endswith('.')


def test_memory_that_lacks_just_now_is_no_reason_for_good(tmp_path, recipe, monkeypatch):
    from napari_cxr import image_files

    def read(path, least=None):
        raise UnreadableImage('There is not enough memory to open this image.') from MemoryError()

    monkeypatch.setattr(image_files, 'read', read)
    with pytest.raises(MemoryError):
        decode_image(tmp_path, recipe.input, 8)
    ((_, reason),) = read_in_process([(0, tmp_path)], recipe.input, 8)
    assert not isinstance(reason, UnusableImage)


def test_a_file_that_does_not_fit_just_now_is_tried_again(folder, recipe):
    with granted(1 << 20):
        ((_, reason),) = read_in_process([(0, folder / 'left' / '0.png')], recipe.input, 8)
    assert 'takes about' in reason and not isinstance(reason, UnusableImage)
