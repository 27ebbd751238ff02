"""Losses over the batch of all ranks, contrastive ones in blocks of rows that stay in cache."""

from satclip.loss.clip import ClipLoss
from satclip.loss.combined import CombinedLoss
from satclip.loss.match import MatchLoss
from satclip.loss.nested import NestedLoss
from satclip.loss.pairs import MAX_LOGIT_SCALE
from satclip.loss.regression import RegressionLoss
from satclip.loss.rows import AuxiliaryLoss
from satclip.loss.siglip import SigLipLoss
from satclip.loss.soft_clip import SoftClipLoss
from satclip.loss.tte import TTELoss

__all__ = [
    "MAX_LOGIT_SCALE",
    "AuxiliaryLoss",
    "ClipLoss",
    "CombinedLoss",
    "MatchLoss",
    "NestedLoss",
    "RegressionLoss",
    "SigLipLoss",
    "SoftClipLoss",
    "TTELoss",
]
