"""Built-in front ends: one file each."""
