"""The study browser: the patients, studies and images of a folder or a disc."""
