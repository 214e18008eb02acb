"""Packages of the distribution; everything else is in pyproject.toml.

`methods/` and `tasks/` are installed under the names `harmbench_methods` and `harmbench_tasks`:
plain `methods` and `tasks` are too general for a site-packages folder.
"""

from setuptools import find_packages, setup

FOLDERS = {"harmbench_methods": "methods", "harmbench_tasks": "tasks"}

setup(
    packages=[
        *find_packages(include=["harmbench", "harmbench.*"]),
        *FOLDERS,
        *(f"{name}.{part}" for name, folder in FOLDERS.items() for part in find_packages(folder)),
    ],
    package_dir={"harmbench": "harmbench", **FOLDERS},
)
