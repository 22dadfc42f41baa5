"""The lung field, and whether an image is a frontal chest radiograph."""
