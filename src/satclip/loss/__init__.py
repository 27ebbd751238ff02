"""Losses over the batch of all ranks, in blocks of rows that stay in cache."""

from satclip.loss.clip import ClipLoss
from satclip.loss.match import MatchLoss
from satclip.loss.pairs import MAX_LOGIT_SCALE
from satclip.loss.siglip import SigLipLoss
from satclip.loss.soft_clip import SoftClipLoss

__all__ = ["MAX_LOGIT_SCALE", "ClipLoss", "MatchLoss", "SigLipLoss", "SoftClipLoss"]
