"""Tests of where nights are published."""
