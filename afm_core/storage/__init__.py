"""Paths and URLs, atomic publishing, and what an artefact was made from."""
