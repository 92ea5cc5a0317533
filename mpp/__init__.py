"""Pretrain one model on many kinds of physics, then finetune it on your own simulations."""

__version__ = "0.1.0"
