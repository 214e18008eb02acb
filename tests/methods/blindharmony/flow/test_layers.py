"""The layers, with nflows' own and autograd as oracles."""

from __future__ import annotations

import copy

import pytest
import torch
from nflows import transforms
from nflows.nn.nets import ConvResidualNet
from nflows.utils import create_mid_split_binary_mask
from torch.nn import functional as F

from harmbench_methods.blindharmony.flow.convolution import conv3x3, preactivated_conv3x3
from harmbench_methods.blindharmony.flow.layers import (
    ActNorm,
    LUConv1x1,
    SplineCoupling,
    Squeeze,
    squeeze,
    unsqueeze,
)

B = 3.0


def at_random(layer):
    """Move all parameters and running statistics away from where they began."""
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter += 0.3 * torch.randn_like(parameter)
        for name, buffer in layer.named_buffers():
            if name.endswith(("running_mean", "running_var")):
                buffer += 0.3 * torch.rand_like(buffer)
    return layer.double().eval()


@pytest.mark.parametrize(
    "make",
    [
        lambda: ActNorm(8),
        lambda: LUConv1x1(8),
        lambda: SplineCoupling(8, hidden=6, blocks=1, bins=4, tail_bound=B),
    ],
    ids=["actnorm", "convolution", "coupling"],
)
def test_logabsdet_equals_autograds_jacobian_in_both_directions(make):
    layer = at_random(make())
    x = 2 * torch.randn(2, 8, 2, 3, dtype=torch.float64)
    y, _ = layer(x)
    for direction, start in ((layer, x), (layer.inverse, y.detach())):
        _, logabsdet = direction(start)
        for n in range(2):
            jacobian = torch.autograd.functional.jacobian(
                lambda flat, f=direction: f(flat.view(1, 8, 2, 3))[0].flatten(), start[n].flatten()
            )
            expected = torch.linalg.slogdet(jacobian).logabsdet
            torch.testing.assert_close(logabsdet[n], expected, rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize("images_first", [True, False])
def test_squeeze_equals_nflows_and_is_invertible(images_first):
    x = torch.arange(2 * 3 * 4 * 6.0).view(2, 3, 4, 6)
    if not images_first:
        x = x.transpose(0, 1).contiguous().transpose(0, 1)
    y, logabsdet = Squeeze()(x)
    assert torch.equal(y, transforms.SqueezeTransform()(x.contiguous())[0])
    assert torch.equal(Squeeze().inverse(y)[0], x)
    assert torch.equal(logabsdet, torch.zeros(2))
    assert torch.equal(unsqueeze(squeeze(x)), x)


@pytest.fixture(params=[1, 2])
def threads(request):
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield
    torch.set_num_threads(before)


SIZES = pytest.mark.parametrize(
    ("size", "channels"),
    [((2, 3, 5), (5, 4)), ((3, 34, 38), (64, 65)), ((1, 72, 88), (66, 64))],
    ids=["few pixels", "winograd with padding", "winograd in chunks"],
)


def convolved(size, channels):
    """Return random images, weights and offsets, in float64."""
    (count, H, W), (C, D) = size, channels
    torch.manual_seed(0)
    shapes = ((count, C, H, W), (D, C, 3, 3), (D,))
    return [torch.randn(shape, dtype=torch.float64, requires_grad=True) for shape in shapes]


@pytest.mark.usefixtures("threads")
@SIZES
def test_3x3_convolution_has_torchs_values(size, channels):
    tensors = convolved(size, channels)
    with torch.no_grad():
        torch.testing.assert_close(conv3x3(*tensors), F.conv2d(*tensors, padding=1))


@pytest.mark.usefixtures("threads")
@pytest.mark.parametrize("training", [True, False])
@SIZES
def test_preactivated_convolution_has_torchs_values_gradients_and_statistics(
    size, channels, training
):
    x, weight, bias = convolved(size, channels)
    ours = torch.nn.BatchNorm2d(channels[0], dtype=torch.float64).train(training)
    with torch.no_grad():
        for tensor in (ours.weight, ours.bias, ours.running_mean):
            tensor += 0.3 * torch.randn_like(tensor)
    theirs = copy.deepcopy(ours)
    got = preactivated_conv3x3(x, ours, weight, bias)
    expected = F.conv2d(F.relu(theirs(x)), weight, bias, padding=1)
    torch.testing.assert_close(got, expected)
    torch.testing.assert_close(ours.state_dict(), theirs.state_dict())
    weights = torch.randn_like(got)
    gradients = [
        torch.autograd.grad((output * weights).sum(), [x, norm.weight, norm.bias, weight, bias])
        for output, norm in ((got, ours), (expected, theirs))
    ]
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other)


def test_under_autocast_only_the_coupling_network_is_in_bfloat16():
    torch.manual_seed(0)
    convolution = LUConv1x1(4)
    with torch.no_grad():
        for parameter in convolution.parameters():
            parameter += 0.3 * torch.randn_like(parameter)
    coupling = SplineCoupling(4, hidden=6, blocks=1, bins=4, tail_bound=B)
    dtypes = []
    coupling.transform_net.blocks[0].batch_norm_layers[1].register_forward_hook(
        lambda module, inputs, output: dtypes.append(inputs[0].dtype)
    )
    x = torch.randn(2, 4, 6, 8)
    with torch.autocast("cpu", torch.bfloat16):
        for direction in (convolution, convolution.inverse):
            y, logabsdet = direction(x)
            assert (y.dtype, logabsdet.dtype) == (torch.float32, torch.float32)
        y, logabsdet = convolution(x)
        z, more = coupling(y)
        loss = z.square().sum() - (logabsdet + more).sum()
    loss.backward()
    assert dtypes == [torch.bfloat16]
    assert (z.dtype, more.dtype) == (torch.float32, torch.float32)
    plain, plain_logabsdet = convolution(x)
    assert torch.equal(y, plain)
    assert torch.equal(logabsdet, plain_logabsdet)
    # The kept half passes through to the last bit, the other as the rounded network says.
    assert torch.equal(z[:, 2:], y[:, 2:])
    exact, _ = coupling(y)
    assert 0 < float((z - exact).detach().abs().max()) < 0.1


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.filterwarnings("ignore:torch.triangular_solve")
def test_convolution_equals_nflows(dtype):
    torch.manual_seed(0)
    theirs = transforms.OneByOneConvolution(8, identity_init=False).to(dtype)
    torch.nn.init.normal_(theirs.bias)
    ours = LUConv1x1(8).to(dtype)
    ours.load_state_dict(theirs.state_dict())
    x = torch.randn(2, 8, 4, 6, dtype=dtype, requires_grad=True)
    tolerance = {"rtol": 1e-4, "atol": 1e-4} if dtype is torch.float32 else {}
    for mine, other in ((ours, theirs), (ours.inverse, theirs.inverse)):
        y, logabsdet = mine(x)
        y_nflows, logabsdet_nflows = other(x)
        torch.testing.assert_close(y, y_nflows, **tolerance)
        torch.testing.assert_close(logabsdet, logabsdet_nflows, **tolerance)
        weights = torch.randn_like(y)
        (got,) = torch.autograd.grad((y * weights).sum(), x)
        (expected,) = torch.autograd.grad((y_nflows * weights).sum(), x)
        torch.testing.assert_close(got, expected, **tolerance)
    torch.testing.assert_close(ours.inverse(ours(x)[0])[0], x, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("channels", [4, 8])
def test_coupling_equals_nflows(channels):
    torch.manual_seed(0)

    def net(features, parameters):
        return ConvResidualNet(
            features, parameters, hidden_channels=6, num_blocks=2, use_batch_norm=True
        )

    theirs = transforms.PiecewiseRationalQuadraticCouplingTransform(
        create_mid_split_binary_mask(channels), net, num_bins=8, tails="linear", tail_bound=B
    ).double()
    ours = SplineCoupling(channels, hidden=6, blocks=2, bins=8, tail_bound=B).double()
    ours.load_state_dict(theirs.state_dict())
    x = torch.randn(3, channels, 6, 4, dtype=torch.float64)
    for mode in (True, False):
        ours.train(mode)
        theirs.train(mode)
        for mine, other in ((ours, theirs), (ours.inverse, theirs.inverse)):
            results = []
            for transform in (mine, other):
                module = ours if transform is mine else theirs
                y, logabsdet = transform(x)
                loss = (y**2).sum() + logabsdet.sum()
                results.append((y, logabsdet, *torch.autograd.grad(loss, module.parameters())))
            for got, expected in zip(*results, strict=True):
                torch.testing.assert_close(got, expected, rtol=1e-5, atol=1e-6)
    # Batch norm's running statistics moved alike.
    for name, value in theirs.state_dict().items():
        torch.testing.assert_close(ours.state_dict()[name], value)


def test_actnorm_normalises_its_first_batch_only_also_after_loading():
    x = torch.randn(5, 3, 8, 8) * torch.tensor([1.0, 10.0, 0.0])[:, None, None] + 2
    layer = ActNorm(3)
    y, _ = layer(x)
    torch.testing.assert_close(y.mean(dim=(0, 2, 3))[:2], torch.zeros(2), rtol=0, atol=1e-4)
    assert y.isfinite().all()
    torch.testing.assert_close(y.std(dim=(0, 2, 3))[:2], torch.ones(2), rtol=1e-3, atol=0)
    again = ActNorm(3)
    again.load_state_dict(layer.state_dict())
    again.train()
    torch.testing.assert_close(again(x * 3)[0], layer(x * 3)[0])
    assert not torch.allclose(ActNorm(3)(x * 3)[0], layer(x * 3)[0])


@pytest.mark.filterwarnings("ignore:.*should not be instantiated")  # by torch itself, tracing
@pytest.mark.parametrize(
    "make",
    [
        lambda: LUConv1x1(8),
        lambda: SplineCoupling(8, hidden=6, blocks=1, bins=4, tail_bound=B),
        Squeeze,
    ],
    ids=["convolution", "coupling", "squeeze"],
)
def test_layers_compile_without_a_graph_break(make):
    torch.manual_seed(0)
    layer = make().eval()
    x = torch.randn(2, 8, 6, 4)
    for direction in (layer, layer.inverse):
        compiled = torch.compile(direction, backend="eager", fullgraph=True)
        for got, expected in zip(compiled(x), direction(x), strict=True):
            torch.testing.assert_close(got, expected)


def test_positions_are_offsets_by_pixel():
    H, W = 4, 6
    plain = at_random(SplineCoupling(4, hidden=6, blocks=1, bins=4, tail_bound=B))
    placed = at_random(SplineCoupling(4, hidden=6, blocks=1, bins=4, tail_bound=B, pixels=H * W))
    placed.load_state_dict(plain.state_dict(), strict=False)
    x = torch.randn(3, 4, H, W, dtype=torch.float64)
    offsets = placed.transform_net.position
    assert offsets.shape == (H * W, 6)
    assert not any("position" in name for name in plain.state_dict())
    with torch.no_grad():
        offsets.zero_()
    for ours, theirs in zip(placed(x), plain(x), strict=True):
        assert torch.equal(ours, theirs)
    # The offset of one pixel reaches as far as the two 3x3 convolutions behind it.
    with torch.no_grad():
        offsets[2 * W + 1] = 1.0
    moved = (placed(x)[0] != plain(x)[0]).any(dim=1)
    near = torch.zeros(H, W, dtype=torch.bool)
    near[0:4, 0:4] = True
    assert moved[:, 2, 1].all()
    assert not moved[:, ~near].any()


def test_a_coupling_with_positions_is_invertible_and_has_autograds_jacobian():
    coupling = at_random(SplineCoupling(4, hidden=6, blocks=1, bins=4, tail_bound=B, pixels=6))
    x = 2 * torch.randn(2, 4, 2, 3, dtype=torch.float64)
    y, logabsdet = coupling(x)
    back, back_logabsdet = coupling.inverse(y)
    torch.testing.assert_close(back, x)
    torch.testing.assert_close(back_logabsdet, -logabsdet)
    for n in range(2):
        jacobian = torch.autograd.functional.jacobian(
            lambda flat: coupling(flat.view(1, 4, 2, 3))[0].flatten(), x[n].flatten()
        )
        torch.testing.assert_close(logabsdet[n], torch.linalg.slogdet(jacobian).logabsdet)
    weights = torch.randn_like(y)
    (gradient,) = torch.autograd.grad((y * weights).sum(), coupling.transform_net.position)
    assert (gradient != 0).any(dim=1).all()
