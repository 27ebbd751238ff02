"""What watches the training: Lightning callbacks."""
