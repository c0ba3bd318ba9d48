"""Paths and URLs, atomic writing and publishing, checksums, and the provenance of artefacts."""
