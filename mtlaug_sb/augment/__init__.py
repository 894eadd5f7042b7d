"""Built-in augmentations: one file each."""
