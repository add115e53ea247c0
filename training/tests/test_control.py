"""Hints of the ControlNets, on scenes painted by hand; the net's size and its beginning."""
import numpy as np
import torch
from storybook.control.hints import depth, edges, hint, layout
from storybook.control.train import begin_with, make_net
from storybook.networks import make_unet

H = W = 32


def masks() -> dict[str, np.ndarray]:
    """Sky above row 16, ground below; a box on the ground and, on the box, a ball."""
    sky, ground, box, ball = (np.zeros((H, W), np.float32) for _ in range(4))
    sky[:16], ground[16:] = 1, 1
    box[14:26, 8:20] = 1
    ball[8:14, 10:16] = 1
    for thing in (box, ball):
        sky *= 1 - thing
        ground *= 1 - thing
    return {"sky": sky, "ground": ground, "a": box, "b": ball}


def test_depth_puts_things_on_their_support_and_the_ground_on_a_ramp():
    near = depth(masks()).astype(int)
    assert (near[:8] == 0).all()
    column = near[16:, 30]
    assert (np.diff(column) > 0).all() and column[0] == 60 and column[-1] == 240
    assert near[10, 12] == near[20, 12] + 5  # the ball stands on the box, not far away at the horizon
    assert near[25, 30] < near[20, 12] <= near[25, 30] + 15


def test_layout_is_flat_in_mean_colours():
    image = np.random.default_rng(1).integers(0, 255, (H, W, 3)).astype(np.uint8)
    flat = layout(image, masks())
    box = masks()["a"] > 0
    assert len(np.unique(flat[box], axis=0)) == 1
    assert np.abs(flat[box][0] - image[box].mean(0)).max() <= 0.5
    assert len(np.unique(flat.reshape(-1, 3), axis=0)) == 4


def test_edges_are_white_lines_on_black():
    image = np.zeros((H, W, 3), np.uint8)
    image[8:24, 8:24] = 255
    lines = edges(image)
    assert set(np.unique(lines)) == {0, 255}
    assert lines[16, 16] == 0 and lines[7:10, 16].max() == 255
    assert hint("edges", image, {}).shape == (H, W, 3)


def test_the_net_fits_and_begins_without_a_say():
    net, unet = make_net(), make_unet()
    assert 2 * sum(p.numel() for p in net.parameters()) <= 12e6
    begin_with(net, unet)
    assert torch.equal(net.conv_in.weight, unet.conv_in.weight)
    assert torch.equal(net.mid_block.resnets[0].conv1.weight, unet.mid_block.resnets[0].conv1.weight)
    with torch.no_grad():
        down, mid = net(torch.randn(1, 16, 16, 16), torch.tensor([500]), torch.randn(1, 77, 128), torch.rand(1, 3, 256, 256), return_dict=False)
    assert all(not r.any() for r in (*down, mid))
    shapes = [tuple(r.shape[1:]) for r in (*down, mid)]
    assert shapes[0] == (64, 16, 16) and shapes[-1] == (240, 4, 4)
