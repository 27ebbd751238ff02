"""Folders of runs, made without training."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))  # run_folders and browser
