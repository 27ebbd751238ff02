"""Which patches train and which validate, and the buffer between the ground that they show."""
