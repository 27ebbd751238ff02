"""How timm names the parts of a backbone that are not features."""

CLASSIFIERS = ("fc.", "head.")  # the last layer of a ResNet and of a transformer
