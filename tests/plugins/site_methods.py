"""Methods on all sites, with and without covariates, slices and volumes."""

from __future__ import annotations

import json
import os
from pathlib import Path

import torch

from harmbench import (
    Method,
    Needs,
    VolumeMethod,
    from_json_tensor,
    hookimpl,
    json_tensor,
)


def say(**facts):
    """Append a line of JSON to the file that the test names, if it names one."""
    if "SITES_LOG" in os.environ:
        with Path(os.environ["SITES_LOG"]).open("a") as stream:
            stream.write(json.dumps(facts) + "\n")


class SiteMeans(Method):
    """Moves the mean of each known site to the target's."""

    name = "site-means"
    summary = "moves the mean of each site to the target's"
    needs = Needs.SITES

    def __init__(self, grid, config=None):
        super().__init__(grid, config)
        self.register_buffer("names", json_tensor([]))
        self.register_buffer("means", torch.zeros(0))

    def fit(self, data, progress):
        means = {}
        for name, scans in data.sites.items():
            batches = progress.track(scans.batches(), name, len(scans))
            each = [batch.images[batch.masks].mean() for batch in batches]
            means[name] = torch.stack(each).mean()
        say(
            fit={name: sorted(set(scans.subjects)) for name, scans in data.sites.items()},
            target=data.target.domain,
        )
        self.names = json_tensor(list(means))
        self.means = torch.stack([*means.values()]) - means[data.target.domain]

    def forward(self, scans):
        names = from_json_tensor(self.names)
        say(domain=scans.domain, known=names, covariates=scans.covariates is not None)
        shift = self.means[names.index(scans.domain)] if scans.domain in names else 0.0
        images = (scans.images - shift).clamp(0, 1)
        return scans.with_images(torch.where(scans.masks, images, scans.images))


class AgeMeans(SiteMeans):
    """The same, and moves older subjects more."""

    name = "age-means"
    summary = "moves the mean of each site, by age"
    covariates = ("age", "sex")

    def __init__(self, grid, config=None):
        super().__init__(grid, config)
        self.register_buffer("age", torch.zeros(()))

    def fit(self, data, progress):
        super().fit(data, progress)
        ages = [float(age) for scans in data.sites.values() for age in scans.covariates["age"]]
        say(columns=list(data.target.covariates.columns), n=len(ages))
        self.age.fill_(sum(ages) / len(ages))

    def forward(self, scans):
        say(ages=scans.covariates["age"].tolist(), sexes=scans.covariates["sex"].tolist())
        output = super().forward(scans)
        older = torch.tensor(scans.covariates["age"].to_numpy() > float(self.age))
        chosen = older.to(scans.images.device).view(-1, 1, 1, 1)
        return scans.with_images(torch.where(chosen, output.images, scans.images))


class SiteVolumes(VolumeMethod):
    """Returns volumes unchanged, and prints what it received."""

    name = "site-volumes"
    summary = "returns volumes unchanged"
    needs = Needs.SITES
    covariates = ("age",)

    def __init__(self, grid, config=None):
        super().__init__(grid, config)
        self.register_buffer("n", torch.zeros(()))

    def fit(self, data, progress):
        for scans in data.sites.values():
            for scan in scans.volumes(self.space):
                say(site=scan.domain, age=scan.covariates["age"])
        self.n.fill_(len(data.sites))

    def harmonize(self, scan):
        say(domain=scan.domain, **scan.covariates)
        return scan.image


class Curious(Method):
    """Reads a covariate that it does not declare."""

    name = "curious"
    summary = "reads an age that it does not declare"
    needs = Needs.TARGET

    def __init__(self, grid, config=None):
        super().__init__(grid, config)
        self.register_buffer("age", torch.zeros(()))

    def fit(self, data, progress):
        self.age.fill_(float(data.target.covariates["age"].mean()))

    def forward(self, scans):
        return scans.with_images(scans.images.clone())


@hookimpl
def register_methods():
    return [SiteMeans, AgeMeans, SiteVolumes, Curious]
