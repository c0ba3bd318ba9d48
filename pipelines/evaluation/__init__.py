"""What a bundle is worth on rows it has not seen."""
