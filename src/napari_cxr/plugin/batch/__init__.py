"""The dock that scores a folder: input, progress, and results."""
