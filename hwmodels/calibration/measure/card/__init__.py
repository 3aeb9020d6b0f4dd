"""Sections of measure_card.py: one file per family of kernels, and what they are measured with (bench.py)."""
