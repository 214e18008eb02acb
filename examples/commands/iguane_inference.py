"""Start IGUANe's published generator on one scan: `iguane_inference.py CLONE INPUT OUTPUT WEIGHTS`.

It needs the environment of the tool, with TensorFlow. Scaling follows the tool's README: the median
of the brain is 500, and the network receives values divided by 500 minus 1, zero outside the brain.
"""

from __future__ import annotations

import sys
from pathlib import Path

import nibabel as nib
import numpy as np


def main() -> None:
    """Run the command of the command line."""
    clone, source, target, weights = sys.argv[1:]
    sys.path.insert(0, str(Path(clone, "harmonization")))
    from model_architectures import Generator

    generator = Generator()
    generator.load_weights(weights)
    image = nib.load(source)
    data = np.asarray(image.dataobj, dtype=np.float32)
    brain = data > 0
    scaled = np.where(brain, data / np.median(data[brain]) - 1, 0).astype(np.float32)
    result = np.asarray(generator(scaled[None, ..., None], training=False)).squeeze()
    result = np.where(brain, np.maximum((result + 1) * 500, 0), 0).astype(np.float32)
    nib.save(nib.Nifti1Image(result, image.affine), target)


if __name__ == "__main__":
    main()
