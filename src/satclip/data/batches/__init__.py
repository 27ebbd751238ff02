"""From row numbers to batches on the device: order, workers, memory, augmentation, bad patches."""
