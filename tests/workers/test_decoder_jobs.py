import imageio.v3 as iio
import numpy as np
import pytest

from napari_cxr import samples
from napari_cxr.image_files import read
from napari_cxr.radiograph import UnreadableImage
from napari_cxr.workers.decoder_jobs import thumbnail


def test_a_picture_is_the_radiograph_as_it_should_look(tmp_path):
    small = {}
    for photometric in ('MONOCHROME1', 'MONOCHROME2'):
        path = tmp_path / f'{photometric}.dcm'
        samples.write_phantom_dicom(path, shape=(256, 192), photometric=photometric)
        small[photometric] = thumbnail(str(path), 64)
        display = read(path).to_display()
        means = display.reshape(64, 4, 48, 4).mean(axis=(1, 3))
        np.testing.assert_allclose(small[photometric] / 255, means, atol=1 / 255)
    assert small['MONOCHROME1'].shape == (64, 48) and small['MONOCHROME1'].dtype == np.uint8
    # The same patient, written in the one way or the other, looks the same.
    difference = small['MONOCHROME1'].astype(int) - small['MONOCHROME2']
    assert np.abs(difference).max() <= 2


@pytest.mark.parametrize(
    ('shape', 'small'),
    [
        ((30, 20), (30, 20)),
        ((10, 900), (1, 100)),
        ((900, 1), (100, 1)),
        ((150, 300, 3), (50, 100)),
    ],
)
def test_shapes(tmp_path, shape, small):
    iio.imwrite(tmp_path / 'a.png', np.full(shape, 200, np.uint8))
    picture = thumbnail(str(tmp_path / 'a.png'), 100)
    assert picture.shape == small and set(np.unique(picture)) == {200}


def test_what_is_no_image_says_so(tmp_path):
    (tmp_path / 'a.png').write_text('<html>moved</html>')
    with pytest.raises(UnreadableImage):
        thumbnail(str(tmp_path / 'a.png'), 100)


def test_of_several_frames_the_first_is_drawn(tmp_path):
    frames = np.stack([np.full((40, 30), value, np.uint16) for value in (4095, 0)])
    samples.write_phantom_dicom(tmp_path / 'a.dcm', pixels=frames)
    picture = thumbnail(str(tmp_path / 'a.dcm'), 100)
    assert picture.shape == (40, 30) and (picture > 200).all()
