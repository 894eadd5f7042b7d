"""Built-in shared encoders: one file each."""
