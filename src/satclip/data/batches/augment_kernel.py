"""The loop over pixels that augmentation spends its time in, compiled by numba (`pip install satclip[fast]`).

Its twin in torch gives the same bits. Like the loop of decoding it uses no threads and checks no bounds.
"""

import numpy as np
import numpy.typing as npt

from satclip.data.geotiff.kernel import Pixels, compiled

Images = npt.NDArray[np.float32]
Numbers = npt.NDArray[np.int64]


@compiled
def crop_flip_blur(
    raw: Pixels,
    places: Numbers,
    top: Numbers,
    left: Numbers,
    flip_rows: npt.NDArray[np.bool_],
    flip_columns: npt.NDArray[np.bool_],
    beside: Images,
    total: Images,
    out: Images,
) -> None:
    """Cut out, mirror, smooth and scale: [B, K, H, W] into [B, C, S, S].

    `places` [C] names the decoded band of each channel, negative for zeros. The rest is [B]: the corner of the crop,
    what is mirrored, the weight of a neighbour where a pixel's own is 1, and what the weighted sum is divided by. The
    rim mirrors what lies within. Only sums and products, in the order that torch goes through them.
    """
    size = out.shape[2]
    line, smoothed = np.empty(size, np.float32), np.empty(size, np.float32)
    for sample in range(len(raw)):
        weight, divisor, first = beside[sample], total[sample], left[sample]
        for channel in range(len(places)):
            if places[channel] < 0:
                out[sample, channel] = np.float32(0)
                continue
            band = raw[sample, places[channel]]
            for row in range(size):
                above = abs(row - 1)
                below = row + 1 if row + 1 < size else size - 2
                one = band[top[sample] + above, first : first + size]
                other = band[top[sample] + below, first : first + size]
                middle = band[top[sample] + row, first : first + size]
                for column in range(size):
                    line[column] = (np.float32(one[column]) + np.float32(other[column])) * weight + np.float32(
                        middle[column]
                    )
                smoothed[0] = ((line[1] + line[1]) * weight + line[0]) / divisor
                smoothed[size - 1] = ((line[size - 2] + line[size - 2]) * weight + line[size - 1]) / divisor
                for column in range(1, size - 1):
                    smoothed[column] = ((line[column - 1] + line[column + 1]) * weight + line[column]) / divisor
                target = out[sample, channel, size - 1 - row if flip_rows[sample] else row]
                if flip_columns[sample]:
                    for column in range(size):
                        target[column] = smoothed[size - 1 - column]
                else:
                    for column in range(size):  # `target[:] = smoothed` takes three times as long
                        target[column] = smoothed[column]
