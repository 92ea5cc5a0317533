"""The models: tensors in physical units in, the next frame in physical units out."""
