"""From predictions to what a person reads."""
