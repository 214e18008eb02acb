"""Brain extraction by the library deepbet, whose package contains the weights of its networks.

deepbet: Fisch et al., Comput Biol Med 2024;179:108845.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from harmbench.errors import BadScanError
from harmbench.preprocessing.brain_tools import Extractor, ToolError

if TYPE_CHECKING:
    from harmbench.preprocessing.nifti_read import Volume

_THRESHOLD = 0.5  # of the network's probability, as deepbet's default


def deepbet_mask(extractor: Extractor, volume: Volume, name: str) -> npt.NDArray[np.bool_]:
    """Run deepbet on a volume, on a GPU if there is one with enough memory.

    Parameters
    ----------
    extractor
        The library, for messages.
    volume, name
        The volume, and the name of its scan for messages.

    Returns
    -------
    numpy.ndarray
        `(X, Y, Z)` bool: the brain mask on the voxels of `volume`.

    Raises
    ------
    ToolError
        If memory is too small.
    BadScanError
        If deepbet finds no brain.
    """
    import torch

    from harmbench.util.memory import ran_out

    try:
        if torch.cuda.is_available():
            try:
                return _mask(volume, no_gpu=False)
            except RuntimeError as error:
                # Other programs use the GPU; the processor takes seconds only.
                if not ran_out(error):
                    raise
            finally:
                torch.cuda.empty_cache()
        return _mask(volume, no_gpu=True)
    except (AssertionError, ValueError) as error:
        # deepbet's own checks, and the largest of no components.
        raise BadScanError(
            f"{extractor.title} finds no brain in {name}; check that it is a T1w scan"
        ) from error
    except (MemoryError, RuntimeError) as error:
        if isinstance(error, MemoryError) or "memory" in str(error):
            reason = "out of memory; free memory and run the command again"
        else:
            reason = str(error).strip().splitlines()[-1]
        raise ToolError(f"{extractor.title} failed on {name}: {reason}") from error


def _mask(volume: Volume, *, no_gpu: bool) -> npt.NDArray[np.bool_]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the formats in which its networks are stored
        from deepbet import BrainExtraction

        tool = BrainExtraction(no_gpu=no_gpu)
        probability = tool.run_model(volume.data.copy())
        mask: npt.NDArray[np.bool_] = tool.postprocess(probability > _THRESHOLD)
    return mask
