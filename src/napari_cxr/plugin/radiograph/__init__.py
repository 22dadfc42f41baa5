"""The radiograph on screen: its window, which way it lies, its size, its grey values."""
