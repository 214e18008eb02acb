"""BlindHarmony's flow and its loop with nflows' own layers, for comparison by flow.py."""

from __future__ import annotations

import torch
from nflows import transforms
from nflows.nn.nets import ConvResidualNet
from nflows.utils import create_mid_split_binary_mask
from torch import Tensor

from harmbench import Scans
from harmbench_methods.blindharmony.config import BlindHarmonyConfig
from harmbench_methods.blindharmony.flow.flow import Flow
from harmbench_methods.blindharmony.terms import (
    correlation_gradient,
    edge_gradient,
    non_edge_mask,
)


def stock_layers(channels: int, config: BlindHarmonyConfig) -> list[transforms.Transform]:
    """Return the transforms of one level, with nflows' own classes."""

    def net(features: int, parameters: int) -> ConvResidualNet:
        return ConvResidualNet(
            features,
            parameters,
            hidden_channels=config.hidden,
            num_blocks=config.blocks,
            use_batch_norm=True,
        )

    layers: list[transforms.Transform] = [transforms.SqueezeTransform()]
    for _ in range(config.steps):
        coupling = transforms.PiecewiseRationalQuadraticCouplingTransform(
            create_mid_split_binary_mask(channels),
            net,
            num_bins=config.bins,
            tails="linear",
            tail_bound=config.tail_bound,
        )
        layers += [
            transforms.ActNorm(channels),
            transforms.OneByOneConvolution(channels),
            coupling,
        ]
    return [*layers, transforms.OneByOneConvolution(channels)]


def stock_flow(height: int, width: int, config: BlindHarmonyConfig) -> Flow:
    """Return a flow of stock nflows layers with the same state dict as a `Flow`."""
    flow = Flow(height, width, config)
    flow.transform = transforms.MultiscaleCompositeTransform(config.levels)
    C, H, W = 1, height, width
    for _ in range(config.levels):
        C, H, W = 4 * C, H // 2, W // 2
        level = transforms.CompositeTransform(stock_layers(C, config))
        flow.transform.add_transform(level, (C, H, W))
        C //= 2
    return flow


@torch.no_grad()
def stock_harmonize(
    flow: Flow, config: BlindHarmonyConfig, scans: Scans, noise: Tensor, mean: Tensor
) -> Tensor:
    """Run the plain loop on the slices of one scan: no check, no guard, no fallback."""
    results = []
    for start in range(0, len(mean), config.slices_at_once):
        part = slice(start, start + config.slices_at_once)
        x_s, u, x = scans.images[0, part], noise[part], mean[part]
        M = non_edge_mask(
            x_s,
            scans.masks[0, part],
            quantile=config.mask_quantile,
            threshold=config.mask_threshold,
        )
        for _ in range(config.iterations):
            g1 = correlation_gradient(x, x_s, centred=config.centred)
            y = x - config.beta1 * g1 - config.beta2 * edge_gradient(x, M)
            z, _ = flow.encode(flow.dequantize(y, u))
            v, _ = flow.decode((1 - config.alpha) * z)
            x = flow.quantize(v, u).clamp(0, 1)
        results.append(x)
    return torch.cat(results)
