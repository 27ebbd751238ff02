"""Contrastive losses over the batch of all ranks, in blocks of rows that stay in cache."""

from satclip.loss.clip import ClipLoss
from satclip.loss.pairs import MAX_LOGIT_SCALE
from satclip.loss.rows import AuxiliaryLoss
from satclip.loss.siglip import SigLipLoss
from satclip.loss.soft_clip import SoftClipLoss
from satclip.loss.tte import TTELoss

__all__ = ["MAX_LOGIT_SCALE", "AuxiliaryLoss", "ClipLoss", "SigLipLoss", "SoftClipLoss", "TTELoss"]
