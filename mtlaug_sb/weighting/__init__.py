"""Built-in weightings of the tasks: one file each."""
