"""One file per command: its options, its help, and the call of what does the work."""
