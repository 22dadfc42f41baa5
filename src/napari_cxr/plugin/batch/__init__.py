"""The dock that scores a folder: what to score, how it goes, and what came out."""
