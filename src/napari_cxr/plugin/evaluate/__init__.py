"""The dock that evaluates models by labelled images."""
