#!/usr/bin/env python3
"""Writes the shipped networks: `python3 data/networks/generate.py` makes every file beside it anew.

Each function below is one architecture, written as its definition is written. Batch normalisation
is folded into the convolutions and therefore absent. Operators are named as the definition names
them where it does.
"""
import json
import pathlib


class Network:
    """Collects operators; every method answers with the name of the tensor it makes."""

    def __init__(self, name, source, shape):
        self.name, self.source, self.shape = name, source, shape
        self.operators = []
        self.last = "input"

    def add(self, op, name, inputs=None, **attributes):
        operator = {"name": name, "op": op}
        # The format reads the previous operator when none is named.
        if inputs is not None and list(inputs) != [self.last]:
            operator["inputs"] = list(inputs)
        operator.update({key: value for key, value in attributes.items() if value is not None})
        self.operators.append(operator)
        self.last = name
        return name

    def conv(self, name, oc, kernel, stride=None, padding=None, groups=None, source=None):
        return self.add("conv", name, source and [source], oc=oc, kernel=kernel, stride=stride,
                        padding=padding, groups=groups)

    def conv_relu(self, name, oc, kernel, relu=None, activation="relu", **attributes):
        """A convolution and its activation, called `relu` or by the convolution's name."""
        self.conv(name, oc, kernel, **attributes)
        return self.add(activation, relu or name + ".relu")

    def max_pool(self, name, kernel, stride, source=None, **attributes):
        return self.add("max_pool", name, source and [source], kernel=kernel, stride=stride,
                        **attributes)

    def text(self):
        lines = ",\n    ".join(json.dumps(operator) for operator in self.operators)
        return (f'{{\n  "schema": "convopt.network/1",\n  "name": {json.dumps(self.name)},\n'
                f'  "source": {json.dumps(self.source)},\n'
                f'  "input": {{"name": "input", "shape": {json.dumps(self.shape)}}},\n'
                f'  "operators": [\n    {lines}\n  ]\n}}\n')


IMAGE = [1, 3, 224, 224]


def classifier(net, name="fc", classes=1000):
    net.add("global_avg_pool", "avgpool")
    net.add("flatten", "flatten")
    net.add("fully_connected", name, oc=classes)


def alexnet():
    net = Network("alexnet", "torchvision.models.alexnet (Krizhevsky 2014, arXiv:1404.5997); its "
                  "adaptive pooling to 6x6 changes nothing at this input size", IMAGE)
    net.conv_relu("features.0", 64, 11, "features.1", stride=4, padding=2)
    net.max_pool("features.2", 3, 2)
    net.conv_relu("features.3", 192, 5, "features.4", padding=2)
    net.max_pool("features.5", 3, 2)
    net.conv_relu("features.6", 384, 3, "features.7", padding=1)
    net.conv_relu("features.8", 256, 3, "features.9", padding=1)
    net.conv_relu("features.10", 256, 3, "features.11", padding=1)
    net.max_pool("features.12", 3, 2)
    net.add("flatten", "flatten")
    net.add("dropout", "classifier.0")
    net.add("fully_connected", "classifier.1", oc=4096)
    net.add("relu", "classifier.2")
    net.add("dropout", "classifier.3")
    net.add("fully_connected", "classifier.4", oc=4096)
    net.add("relu", "classifier.5")
    net.add("fully_connected", "classifier.6", oc=1000)
    return net


def alexnet_paper():
    net = Network("alexnet_paper", "Krizhevsky, Sutskever and Hinton: ImageNet classification with "
                  "deep convolutional neural networks, NIPS 2012: two groups in conv2, conv4 and "
                  "conv5, local response normalisation (its alpha of 1e-4 is per element, that of "
                  "the format per window of 5), input 227x227", [1, 3, 227, 227])
    lrn = {"size": 5, "alpha": 5e-4, "beta": 0.75, "k": 2.0}
    net.conv_relu("conv1", 96, 11, "relu1", stride=4)
    net.add("lrn", "norm1", **lrn)
    net.max_pool("pool1", 3, 2)
    net.conv_relu("conv2", 256, 5, "relu2", padding=2, groups=2)
    net.add("lrn", "norm2", **lrn)
    net.max_pool("pool2", 3, 2)
    net.conv_relu("conv3", 384, 3, "relu3", padding=1)
    net.conv_relu("conv4", 384, 3, "relu4", padding=1, groups=2)
    net.conv_relu("conv5", 256, 3, "relu5", padding=1, groups=2)
    net.max_pool("pool5", 3, 2)
    net.add("fully_connected", "fc6", oc=4096)
    net.add("relu", "relu6")
    net.add("dropout", "drop6")
    net.add("fully_connected", "fc7", oc=4096)
    net.add("relu", "relu7")
    net.add("dropout", "drop7")
    net.add("fully_connected", "fc8", oc=1000)
    net.add("softmax", "prob")
    return net


def vgg(depth, stages):
    net = Network(f"vgg{depth}", f"torchvision.models.vgg{depth} (Simonyan and Zisserman 2014, "
                  "arXiv:1409.1556); its adaptive pooling to 7x7 changes nothing at this input size",
                  IMAGE)
    index = 0
    for channels, repeats in zip((64, 128, 256, 512, 512), stages):
        for _ in range(repeats):
            net.conv_relu(f"features.{index}", channels, 3, f"features.{index + 1}", padding=1)
            index += 2
        net.max_pool(f"features.{index}", 2, 2)
        index += 1
    net.add("flatten", "flatten")
    net.add("fully_connected", "classifier.0", oc=4096)
    net.add("relu", "classifier.1")
    net.add("dropout", "classifier.2")
    net.add("fully_connected", "classifier.3", oc=4096)
    net.add("relu", "classifier.4")
    net.add("dropout", "classifier.5")
    net.add("fully_connected", "classifier.6", oc=1000)
    return net


# Channels: 1x1, 3x3 reduction, 3x3, 5x5 reduction, 5x5, behind the pooling.
INCEPTIONS = {
    "3a": (64, 96, 128, 16, 32, 32), "3b": (128, 128, 192, 32, 96, 64),
    "4a": (192, 96, 208, 16, 48, 64), "4b": (160, 112, 224, 24, 64, 64),
    "4c": (128, 128, 256, 24, 64, 64), "4d": (112, 144, 288, 32, 64, 64),
    "4e": (256, 160, 320, 32, 128, 128), "5a": (256, 160, 320, 32, 128, 128),
    "5b": (384, 192, 384, 48, 128, 128),
}


def googlenet():
    net = Network("googlenet", "torchvision.models.googlenet (Szegedy et al. 2014, arXiv:1409.4842) "
                  "without auxiliary classifiers: 3x3 where the paper has 5x5, batch normalisation "
                  "folded", IMAGE)

    def inception(block, c1, c3r, c3, c5r, c5, cp):
        name, source = f"inception{block}", net.last
        net.conv(f"{name}.branch1.conv", c1, 1)
        one = net.add("relu", f"{name}.branch1.relu")
        net.conv_relu(f"{name}.branch2.0.conv", c3r, 1, f"{name}.branch2.0.relu", source=source)
        three = net.conv_relu(f"{name}.branch2.1.conv", c3, 3, f"{name}.branch2.1.relu", padding=1)
        net.conv_relu(f"{name}.branch3.0.conv", c5r, 1, f"{name}.branch3.0.relu", source=source)
        five = net.conv_relu(f"{name}.branch3.1.conv", c5, 3, f"{name}.branch3.1.relu", padding=1)
        net.max_pool(f"{name}.branch4.0", 3, 1, source, padding=1, ceil_mode=True)
        pool = net.conv_relu(f"{name}.branch4.1.conv", cp, 1, f"{name}.branch4.1.relu")
        net.add("concat", name, [one, three, five, pool])

    net.conv_relu("conv1.conv", 64, 7, "conv1.relu", stride=2, padding=3)
    net.max_pool("maxpool1", 3, 2, ceil_mode=True)
    net.conv_relu("conv2.conv", 64, 1, "conv2.relu")
    net.conv_relu("conv3.conv", 192, 3, "conv3.relu", padding=1)
    net.max_pool("maxpool2", 3, 2, ceil_mode=True)
    for block, channels in INCEPTIONS.items():
        inception(block, *channels)
        if block == "3b":
            net.max_pool("maxpool3", 3, 2, ceil_mode=True)
        if block == "4e":
            net.max_pool("maxpool4", 2, 2, ceil_mode=True)
    net.add("global_avg_pool", "avgpool")
    net.add("flatten", "flatten")
    net.add("dropout", "dropout")
    net.add("fully_connected", "fc", oc=1000)
    return net


def googlenet_paper():
    net = Network("googlenet_paper", "Szegedy et al.: Going deeper with convolutions, 2014, "
                  "arXiv:1409.4842, table 1, without auxiliary classifiers; local response "
                  "normalisation and ceiling-mode pooling as in the authors' release for Caffe",
                  IMAGE)
    lrn = {"size": 5, "alpha": 1e-4, "beta": 0.75}

    def inception(block, c1, c3r, c3, c5r, c5, cp):
        name, source = f"inception_{block}", net.last
        one = net.conv_relu(f"{name}/1x1", c1, 1, f"{name}/relu_1x1")
        net.conv_relu(f"{name}/3x3_reduce", c3r, 1, f"{name}/relu_3x3_reduce", source=source)
        three = net.conv_relu(f"{name}/3x3", c3, 3, f"{name}/relu_3x3", padding=1)
        net.conv_relu(f"{name}/5x5_reduce", c5r, 1, f"{name}/relu_5x5_reduce", source=source)
        five = net.conv_relu(f"{name}/5x5", c5, 5, f"{name}/relu_5x5", padding=2)
        net.max_pool(f"{name}/pool", 3, 1, source, padding=1)
        pool = net.conv_relu(f"{name}/pool_proj", cp, 1, f"{name}/relu_pool_proj")
        net.add("concat", f"{name}/output", [one, three, five, pool])

    net.conv_relu("conv1/7x7_s2", 64, 7, "conv1/relu_7x7", stride=2, padding=3)
    net.max_pool("pool1/3x3_s2", 3, 2, ceil_mode=True)
    net.add("lrn", "pool1/norm1", **lrn)
    net.conv_relu("conv2/3x3_reduce", 64, 1, "conv2/relu_3x3_reduce")
    net.conv_relu("conv2/3x3", 192, 3, "conv2/relu_3x3", padding=1)
    net.add("lrn", "conv2/norm2", **lrn)
    net.max_pool("pool2/3x3_s2", 3, 2, ceil_mode=True)
    for block, channels in INCEPTIONS.items():
        inception(block, *channels)
        if block == "3b":
            net.max_pool("pool3/3x3_s2", 3, 2, ceil_mode=True)
        if block == "4e":
            net.max_pool("pool4/3x3_s2", 3, 2, ceil_mode=True)
    net.add("global_avg_pool", "pool5/7x7_s1")
    net.add("dropout", "pool5/drop_7x7_s1")
    net.add("fully_connected", "loss3/classifier", oc=1000)
    net.add("softmax", "prob")
    return net


def resnet(depth, repeats, bottleneck):
    net = Network(f"resnet{depth}", f"torchvision.models.resnet{depth} (He et al. 2015, "
                  "arXiv:1512.03385" + ("; version 1.5: stride on the 3x3" if bottleneck else "") +
                  "), batch normalisation folded", IMAGE)
    net.conv_relu("conv1", 64, 7, "relu", stride=2, padding=3)
    net.max_pool("maxpool", 3, 2, padding=1)
    expansion = 4 if bottleneck else 1
    channels = 64
    for stage, (width, blocks) in enumerate(zip((64, 128, 256, 512), repeats), start=1):
        for block in range(blocks):
            name, source = f"layer{stage}.{block}", net.last
            stride = 2 if stage > 1 and block == 0 else None
            if bottleneck:
                net.conv_relu(f"{name}.conv1", width, 1, f"{name}.relu1")
                net.conv_relu(f"{name}.conv2", width, 3, f"{name}.relu2", stride=stride, padding=1)
                main = net.conv(f"{name}.conv3", width * expansion, 1)
            else:
                net.conv_relu(f"{name}.conv1", width, 3, f"{name}.relu1", stride=stride, padding=1)
                main = net.conv(f"{name}.conv2", width, 3, padding=1)
            shortcut = source
            if stride or channels != width * expansion:
                shortcut = net.conv(f"{name}.downsample.0", width * expansion, 1, stride=stride,
                                    source=source)
            channels = width * expansion
            net.add("add", f"{name}.add", [main, shortcut])
            net.add("relu", f"{name}.relu")
    classifier(net)
    return net


def squeezenet1_1():
    net = Network("squeezenet1_1", "torchvision.models.squeezenet1_1 (Iandola et al. 2016, "
                  "arXiv:1602.07360, and its authors' revision 1.1)", IMAGE)

    def fire(index, squeeze, expand):
        name = f"features.{index}"
        squeezed = net.conv_relu(f"{name}.squeeze", squeeze, 1, f"{name}.squeeze_activation")
        one = net.conv_relu(f"{name}.expand1x1", expand, 1, f"{name}.expand1x1_activation")
        three = net.conv_relu(f"{name}.expand3x3", expand, 3, f"{name}.expand3x3_activation",
                              padding=1, source=squeezed)
        net.add("concat", f"{name}.concat", [one, three])

    net.conv_relu("features.0", 64, 3, "features.1", stride=2)
    net.max_pool("features.2", 3, 2, ceil_mode=True)
    fire(3, 16, 64)
    fire(4, 16, 64)
    net.max_pool("features.5", 3, 2, ceil_mode=True)
    fire(6, 32, 128)
    fire(7, 32, 128)
    net.max_pool("features.8", 3, 2, ceil_mode=True)
    fire(9, 48, 192)
    fire(10, 48, 192)
    fire(11, 64, 256)
    fire(12, 64, 256)
    net.add("dropout", "classifier.0")
    net.conv_relu("classifier.1", 1000, 1, "classifier.2")
    net.add("global_avg_pool", "classifier.3")
    net.add("flatten", "flatten")
    return net


def mobilenet_v1():
    net = Network("mobilenet_v1", "Howard et al.: MobileNets, 2017, arXiv:1704.04861, table 1, width "
                  "and resolution multiplier 1, batch normalisation folded", IMAGE)
    net.conv_relu("conv0", 32, 3, stride=2, padding=1)
    channels = 32
    layers = [(64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2)] + [(512, 1)] * 5 + [
        (1024, 2), (1024, 1)]
    for index, (oc, stride) in enumerate(layers, start=1):
        net.conv_relu(f"conv{index}_dw", channels, 3, stride=stride if stride > 1 else None,
                      padding=1, groups=channels)
        net.conv_relu(f"conv{index}_pw", oc, 1)
        channels = oc
    classifier(net)
    net.add("softmax", "softmax")
    return net


def mobilenet_v2():
    net = Network("mobilenet_v2", "torchvision.models.mobilenet_v2 (Sandler et al. 2018, "
                  "arXiv:1801.04381), batch normalisation folded", IMAGE)
    net.conv_relu("features.0.0", 32, 3, "features.0.2", "relu6", stride=2, padding=1)
    channels, index = 32, 1
    for expansion, oc, repeats, first_stride in ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2),
                                                 (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2),
                                                 (6, 320, 1, 1)):
        for repeat in range(repeats):
            name, source = f"features.{index}", net.last
            stride = first_stride if repeat == 0 else 1
            hidden, part = channels * expansion, 0
            if expansion > 1:
                net.conv_relu(f"{name}.conv.0.0", hidden, 1, f"{name}.conv.0.2", "relu6")
                part = 1
            net.conv_relu(f"{name}.conv.{part}.0", hidden, 3, f"{name}.conv.{part}.2", "relu6",
                          stride=stride if stride > 1 else None, padding=1, groups=hidden)
            result = net.conv(f"{name}.conv.{part + 1}", oc, 1)
            if stride == 1 and channels == oc:
                net.add("add", f"{name}.add", [source, result])
            channels = oc
            index += 1
    net.conv_relu(f"features.{index}.0", 1280, 1, f"features.{index}.2", "relu6")
    net.add("global_avg_pool", "avgpool")
    net.add("flatten", "flatten")
    net.add("dropout", "classifier.0")
    net.add("fully_connected", "classifier.1", oc=1000)
    return net


def darknet53():
    net = Network("darknet53", "Redmon and Farhadi: YOLOv3, 2018, arXiv:1804.02767, table 1, "
                  "classifier at 256x256, batch normalisation folded", [1, 3, 256, 256])
    count = 0

    def conv(oc, kernel, stride=None):
        nonlocal count
        count += 1
        name = f"conv{count}"
        net.conv(name, oc, kernel, stride=stride, padding=1 if kernel == 3 else None)
        return net.add("leaky_relu", f"{name}.leaky", alpha=0.1)

    conv(32, 3)
    for oc, repeats in ((64, 1), (128, 2), (256, 8), (512, 8), (1024, 4)):
        conv(oc, 3, 2)
        for _ in range(repeats):
            source = net.last
            conv(oc // 2, 1)
            result = conv(oc, 3)
            net.add("add", f"conv{count}.shortcut", [result, source])
    classifier(net)
    net.add("softmax", "softmax")
    return net


def unet():
    net = Network("unet", "Ronneberger, Fischer and Brox: U-Net, 2015, arXiv:1505.04597, with same "
                  "padding and therefore without cropping, at 256x256; the up-convolution is an "
                  "upsampling and a 2x2 convolution, as the paper describes it", [1, 1, 256, 256])

    def double(name, oc):
        net.conv_relu(f"{name}.conv1", oc, 3, padding="same")
        return net.conv_relu(f"{name}.conv2", oc, 3, padding="same")

    skips = []
    for level, oc in enumerate((64, 128, 256, 512), start=1):
        skips.append(double(f"down{level}", oc))
        net.max_pool(f"down{level}.pool", 2, 2)
    double("bottom", 1024)
    for level, oc in ((4, 512), (3, 256), (2, 128), (1, 64)):
        net.add("upsample", f"up{level}.upsample", factor=2, mode="nearest")
        up = net.conv_relu(f"up{level}.upconv", oc, 2, padding="same")
        net.add("concat", f"up{level}.concat", [skips.pop(), up])
        double(f"up{level}", oc)
    net.conv("classes", 2, 1)
    return net


NETWORKS = [
    alexnet(), alexnet_paper(), vgg(16, (2, 2, 3, 3, 3)), vgg(19, (2, 2, 4, 4, 4)), googlenet(),
    googlenet_paper(), resnet(18, (2, 2, 2, 2), False), resnet(34, (3, 4, 6, 3), False),
    resnet(50, (3, 4, 6, 3), True), resnet(152, (3, 8, 36, 3), True), squeezenet1_1(),
    mobilenet_v1(), mobilenet_v2(), darknet53(), unet()
]

if __name__ == "__main__":
    for network in NETWORKS:
        path = pathlib.Path(__file__).parent / f"{network.name}.json"
        path.write_text(network.text(), encoding="ascii")
