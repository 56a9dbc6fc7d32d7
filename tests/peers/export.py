#!/usr/bin/python3
"""Writes torchvision's networks as ONNX files with calibrated random weights.

    export.py FOLDER [NETWORK ...]

Per network: NETWORK.onnx, NETWORK.pt (the same as TorchScript), NETWORK.input.npy. Fresh weights make a
network whose output hardly depends on its input, so that an engine which is wrong in the middle looks
right at the end. Here every convolution and fully connected layer is scaled until its result has unit
variance, and batch normalisation has the statistics of what it meets.
"""
import argparse
import os
import sys
import warnings

import numpy
import torch
import torchvision

warnings.filterwarnings("ignore")
SEED = 1
PEERS = ["vgg16", "resnet18", "resnet50", "googlenet", "squeezenet1_1", "alexnet", "mobilenet_v2"]
MORE = ["resnext50_32x4d", "wide_resnet50_2", "inception_v3", "densenet121", "mobilenet_v3_small",
        "mobilenet_v3_large", "mnasnet1_0", "efficientnet_b0", "shufflenet_v2_x1_0", "regnet_y_400mf",
        "convnext_tiny", "unet", "detector"]


class UNet(torch.nn.Module):
    """Small, with a learned and an interpolated step up."""

    def __init__(self):
        super().__init__()
        block = lambda i, o: torch.nn.Sequential(
            torch.nn.Conv2d(i, o, 3, padding=1), torch.nn.BatchNorm2d(o), torch.nn.ReLU(),
            torch.nn.Conv2d(o, o, 3, padding=1), torch.nn.BatchNorm2d(o), torch.nn.ReLU())
        self.down1, self.down2, self.down3 = block(3, 32), block(32, 64), block(64, 128)
        self.up2 = torch.nn.ConvTranspose2d(128, 64, 2, stride=2)
        self.up1 = torch.nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True)
        self.merge2, self.merge1 = block(128, 64), block(96, 32)
        self.last = torch.nn.Conv2d(32, 2, 1)
        self.pool = torch.nn.MaxPool2d(2)

    def forward(self, x):
        a = self.down1(x)
        b = self.down2(self.pool(a))
        c = self.down3(self.pool(b))
        b = self.merge2(torch.cat([self.up2(c), b], 1))
        return self.last(self.merge1(torch.cat([self.up1(b), a], 1)))


class Detector(torch.nn.Module):
    """A head as YOLO has it: nearest upsampling, SPP with same padding, sigmoid and a grid decoded."""

    def __init__(self):
        super().__init__()
        conv = lambda i, o, k, s=1: torch.nn.Sequential(
            torch.nn.Conv2d(i, o, k, s, (k - 1) // 2, bias=False), torch.nn.BatchNorm2d(o), torch.nn.SiLU())
        self.stem, self.next, self.deep = conv(3, 16, 6, 2), conv(16, 32, 3, 2), conv(32, 64, 3, 2)
        self.spp = torch.nn.ModuleList([torch.nn.MaxPool2d(k, 1, k // 2) for k in (5, 9, 13)])
        self.mix, self.side = conv(256, 64, 1), conv(96, 64, 3)
        self.heads = torch.nn.ModuleList([torch.nn.Conv2d(64, 3 * 9, 1) for _ in range(2)])
        self.anchors = torch.tensor([[10., 13.], [16., 30.], [33., 23.]]).view(1, 3, 1, 1, 2)

    def decode(self, x, stride):
        n, _, h, w = x.shape
        x = x.view(n, 3, 9, h, w).permute(0, 1, 3, 4, 2).contiguous().sigmoid()
        y, z = torch.meshgrid(torch.arange(h), torch.arange(w), indexing="ij")
        grid = torch.stack((z, y), 2).view(1, 1, h, w, 2).float()
        xy = (x[..., 0:2] * 2 - 0.5 + grid) * stride
        wh = (x[..., 2:4] * 2) ** 2 * self.anchors
        return torch.cat((xy, wh, x[..., 4:]), -1).view(n, -1, 9)

    def forward(self, x):
        small = self.next(self.stem(x))
        deep = self.deep(small)
        deep = self.mix(torch.cat([deep] + [pool(deep) for pool in self.spp], 1))
        up = torch.nn.functional.interpolate(deep, scale_factor=2, mode="nearest")
        side = self.side(torch.cat([up, small], 1))
        return torch.cat([self.decode(self.heads[0](side), 4.0), self.decode(self.heads[1](deep), 8.0)], 1)


def make(name):
    torch.manual_seed(SEED)
    if name in ("unet", "detector"):
        return (UNet() if name == "unet" else Detector()).eval()
    more = {"init_weights": False} if name in ("googlenet", "inception_v3") else {}
    if name in ("googlenet", "inception_v3"):
        more["aux_logits"] = False
    return getattr(torchvision.models, name)(weights=None, **more).eval()


def calibrate(model, x):
    """One pass in which every layer is set by what reaches it."""
    random = torch.Generator().manual_seed(SEED)

    def before_norm(module, inputs):
        channels = inputs[0].transpose(0, 1).flatten(1)
        module.running_mean.copy_(channels.mean(1))
        module.running_var.copy_(channels.var(1) + 1e-3)
        module.weight.data.uniform_(0.5, 1.5, generator=random)
        module.bias.data.normal_(0, 0.2, generator=random)

    def before_linear(module, inputs):
        module.weight.data.normal_(0, 1, generator=random)
        if module.bias is not None:
            module.bias.data.normal_(0, 0.2, generator=random)

    def after_linear(module, inputs, output):
        size = output.std()
        module.weight.data /= size
        if module.bias is not None:
            module.bias.data /= size
        return output / size

    hooks = []
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            hooks.append(module.register_forward_pre_hook(before_norm))
        elif isinstance(module, (torch.nn.Conv2d, torch.nn.Linear, torch.nn.ConvTranspose2d)):
            hooks.append(module.register_forward_pre_hook(before_linear))
            hooks.append(module.register_forward_hook(after_linear))
    with torch.no_grad():
        model(x)
    for hook in hooks:
        hook.remove()


def export(folder, name):
    model = make(name)
    size = 299 if name == "inception_v3" else 224
    batch = torch.randn((2, 3, size, size), generator=torch.Generator().manual_seed(SEED))
    calibrate(model, batch)
    x = batch[:1].contiguous()
    numpy.save(os.path.join(folder, name + ".input.npy"), x.numpy())
    with torch.no_grad():
        torch.jit.trace(model, x).save(os.path.join(folder, name + ".pt"))
    # Written under another name first: an interrupted export leaves no file that looks whole.
    path = os.path.join(folder, name + ".onnx")
    torch.onnx.export(model, x, path + ".part", opset_version=14, input_names=["input"],
                      output_names=["output"])
    os.replace(path + ".part", path)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder")
    parser.add_argument("network", nargs="*", default=PEERS,
                        help=f"by default {', '.join(PEERS)}; also {', '.join(MORE)}, or any of torchvision's models")
    options = parser.parse_args()
    os.makedirs(options.folder, exist_ok=True)
    for name in options.network:
        if not os.path.exists(os.path.join(options.folder, name + ".onnx")):
            print("exporting", name, file=sys.stderr)
            export(options.folder, name)


if __name__ == "__main__":
    main()
