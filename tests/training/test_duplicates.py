"""The same radiograph is found again; those that merely look alike are not taken for it."""

import io

import numpy as np
import pytest
from PIL import Image
from scipy.fft import dctn

from napari_cxr.training.duplicates import find_near_duplicates, fingerprint, thumbnail


def bits(number):
    return np.array([int(b) for b in f'{int(number):064b}'])


def blobs(seed, shapes=None, side=200):
    """Smooth random shapes with some detail of their own, in [0, 1]."""
    random = np.random.default_rng(seed)
    small, fine = (
        Image.fromarray(drawn.random((n, n)).astype(np.float32))
        for n, drawn in (
            (9, random if shapes is None else np.random.default_rng(shapes)),
            (40, random),
        )
    )
    large = [np.asarray(i.resize((side, side), Image.Resampling.BICUBIC)) for i in (small, fine)]
    return np.clip(0.7 * large[0] + 0.3 * large[1], 0, 1)


def test_the_fingerprint_by_another_cosine_transform():
    small = thumbnail(blobs(0))
    low = dctn(small.astype(float), type=2)[:8, :8].ravel()
    assert bits(fingerprint(small)).tolist() == (low > np.median(low)).astype(int).tolist()


def test_the_fingerprint_is_that_of_imagehash():
    imagehash = pytest.importorskip('imagehash')
    for seed in range(5):
        image = Image.fromarray((blobs(seed) * 255).astype(np.uint8))
        ours = fingerprint(thumbnail(np.asarray(image, dtype=np.float32) / 255))
        theirs = imagehash.phash(image).hash.ravel()
        assert (bits(ours) != theirs).sum() <= 2  # it rounds the small image elsewhere


def test_the_first_bit_is_the_mean_and_brightness_changes_no_other():
    flat = np.zeros((32, 32))
    flat[0, 0] = 1
    assert bits(fingerprint(flat))[0] == 1
    small = thumbnail(blobs(1)).astype(float)
    assert fingerprint(small) == fingerprint(small * 0.5 + 30)
    assert fingerprint(np.stack([small, flat])).shape == (2,)


def saved_anew(image):
    file = io.BytesIO()
    Image.fromarray((image * 255).astype(np.uint8)).save(file, 'JPEG', quality=40)
    return np.asarray(Image.open(file), dtype=np.float32) / 255


def test_copies_are_found_however_they_were_made():
    originals = [blobs(seed) for seed in range(30)]
    copies = [
        originals[0],
        saved_anew(originals[1]),
        np.asarray(Image.fromarray(originals[2]).resize((77, 90))),
        originals[3] ** 1.4,
        originals[4][:, ::-1],
        saved_anew(originals[5])[:, ::-1] * 0.8,
    ]
    small = np.stack([thumbnail(image) for image in (*originals, *copies)])
    pairs, distances, similarities = find_near_duplicates(small)
    assert sorted(map(tuple, pairs.tolist())) == [(i, 30 + i) for i in range(6)]
    assert (np.diff(similarities) <= 0).all() and similarities.min() >= 0.9
    assert distances.max() <= 10
    # An exact copy comes first.
    assert (distances[0], similarities[0]) == (0, pytest.approx(1, abs=1e-5))


def test_look_alikes_are_no_pair_though_their_fingerprints_are_close():
    small = np.stack([thumbnail(blobs(seed, shapes=0)) for seed in range(12)])
    marks = fingerprint(small)
    distances = np.bitwise_count(marks[:, None] ^ marks)[np.triu_indices(12, 1)]
    assert (distances <= 10).any(), 'else this shows nothing'
    assert len(find_near_duplicates(small)[0]) == 0


def test_even_images_are_like_no_other():
    small = np.stack([np.full((32, 32), value, np.uint8) for value in (0, 0, 90, 255)])
    assert len(find_near_duplicates(small)[0]) == 0


def test_of_many_images_each_pair_comes_once():
    small = np.stack([thumbnail(blobs(seed % 290)) for seed in range(600)])
    pairs, *_ = find_near_duplicates(small)
    expected = {(i, j) for i in range(600) for j in range(i + 1, 600) if (j - i) % 290 == 0}
    assert {(i, j) for i, j in pairs.tolist()} == expected
    assert len(pairs) == len(expected)


def test_no_image_is_no_pair():
    assert len(find_near_duplicates(np.zeros((0, 32, 32), np.uint8))[0]) == 0
