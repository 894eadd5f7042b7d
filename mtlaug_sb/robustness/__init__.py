"""What is left of a trained system's answers on another corpus, in noise, in rooms and under attack."""
