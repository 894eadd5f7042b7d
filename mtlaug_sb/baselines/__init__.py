"""What a user would otherwise pick, to compare with."""
