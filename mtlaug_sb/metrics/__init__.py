"""What is measured over a whole stage, one file each."""
