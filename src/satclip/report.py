"""What a run is worth: retrieval, linear probes and the picture of the globe, printed, saved and logged."""
from dataclasses import dataclass
@dataclass
class Report:
    retrieval_places: int = 2000
    probe_places: int = 10000
    picture: bool = True
