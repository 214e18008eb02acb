"""Relaxation times and water content of the tissues of the head."""

from __future__ import annotations

from typing import NamedTuple


class Relaxation(NamedTuple):
    """What a tissue's signal depends on: T1, T2 and T2* in s, water content in [0, 1]."""

    t1: float
    t2: float
    t2_star: float
    proton_density: float


# T1 of white matter: Wright et al., MAGMA 2008;21:121, measured with MPRAGE itself. T1 of grey
# matter: within what is published, and such that GM/WM is as on real scans; at 3 T between the
# 1.331 s of Wansapura et al., JMRI 1999;9:531, and the 1.607 s of Wright, at 1.5 T between the
# 1.124 s of Stanisz and the 1.197 s of Wright. T1 of CSF, at all field strengths: Rooney et
# al., MRM 2007;57:308. T2 of grey and white matter: Stanisz et al., MRM 2005;54:507. T2 of CSF:
# about 1.9 s around the brain and 2.4 s in the ventricles at 3 T ("Quantification of T1 and T2
# of subarachnoid CSF", MRM 2023), so long that its value hardly matters. T2* of cortex and
# white matter: Peters et al., Magn Reson Imaging 2007;25:748. T2* of CSF is so much longer than
# any echo time here that its value does not matter. Water content, relative to CSF: Neeb et
# al., NeuroImage 2008;42:1094. Lesions have 1.4 to 1.6 times the T1 of white matter (Stevenson
# et al., J Neurol Sci 2000;178:81, at 1.5 T); at 3 T the same ratio is taken. T2 of lesions, and
# all values of the meninges, which are collagen and vessels, are rough values of this project.
TISSUES: dict[float, dict[str, Relaxation]] = {
    1.5: {
        "csf": Relaxation(4.3, 1.9, 1.0, 1.0),
        "gm": Relaxation(1.160, 0.095, 0.0840, 0.82),
        "wm": Relaxation(0.646, 0.072, 0.0662, 0.70),
        "lesion": Relaxation(0.95, 0.110, 0.0900, 0.80),
        "meninges": Relaxation(0.80, 0.040, 0.0250, 0.60),
    },
    3.0: {
        "csf": Relaxation(4.3, 1.9, 1.0, 1.0),
        "gm": Relaxation(1.400, 0.099, 0.0660, 0.82),
        "wm": Relaxation(0.838, 0.069, 0.0532, 0.70),
        "lesion": Relaxation(1.25, 0.105, 0.0750, 0.80),
        "meninges": Relaxation(1.00, 0.035, 0.0200, 0.60),
    },
}
