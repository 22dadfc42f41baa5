"""What torchxrayvision itself makes of random weights and of images; run in a process of its own.

``python library_reference.py FOLDER [IMAGE...]`` writes a network in both forms (zip.pt,
legacy.pt), and what the library says of a tensor and of the images (said.npz). It silences all
warnings of the process that imports it, which is why no test does.
"""

import sys
from pathlib import Path

import numpy as np
import torch
import torchvision
import torchxrayvision as xrv


def lively(model: torch.nn.Module) -> torch.nn.Module:
    """Give batch norms statistics and the head weights with which outputs differ."""
    torch.manual_seed(5)
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.weight.uniform_(0.8, 1.2)
                module.bias.normal_(0, 0.1)
                module.momentum = None
        model.train()
        for _ in range(3):
            model(1024 * torch.rand(4, 1, 224, 224) * torch.randn(4, 1, 1, 1))
        # Probabilities on both sides of thresholds of some hundredths.
        model.classifier.bias.fill_(-2.5)
        model.classifier.bias[::8] = -1.8  # those of RSNA are higher
    return model.eval()


def main(folder: Path, images: list[str]) -> None:
    torch.manual_seed(4)
    model = lively(xrv.models.DenseNet())
    torch.save(model, folder / 'zip.pt')
    torch.save(model, folder / 'legacy.pt', _use_new_zipfile_serialization=False)
    said = {}
    thresholds = {
        key: torch.tensor(known['op_threshs'])
        for key, known in xrv.models.model_urls.items()
        if known['input_resolution'] == 224
    }
    for key, known in xrv.models.model_urls.items():
        said[f'labels {key}'] = np.array(known['labels'])
        said[f'thresholds {key}'] = np.array(known['op_threshs'])
    x = 2048 * torch.rand(6, 1, 224, 224) - 1024
    x *= torch.linspace(0.2, 1, 6).reshape(6, 1, 1, 1)
    crop = torchvision.transforms.Compose(
        [xrv.datasets.XRayCenterCrop(), xrv.datasets.XRayResizer(224)]
    )
    pixels = [torch.from_numpy(crop(xrv.utils.load_image(path))).float() for path in images]
    with torch.no_grad():
        logits = model.classifier(model.features2(x))
        said |= {'x': x.numpy(), 'logits': logits.numpy()}
        for key in ('all', 'rsna', 'pc', 'mimic_ch'):
            model.op_threshs = thresholds[key]
            said[f'normalised {key}'] = model(x).numpy()
        model.op_threshs = None
        if pixels:
            inputs = torch.stack(pixels)
            said |= {'pixels': inputs.numpy()}
            said |= {'pixel logits': torch.cat([model(one[None]) for one in inputs]).numpy()}
    np.savez(folder / 'said.npz', **said)


if __name__ == '__main__':
    main(Path(sys.argv[1]), sys.argv[2:])
