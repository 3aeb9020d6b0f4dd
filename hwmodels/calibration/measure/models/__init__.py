"""Whole models and layers on one GPU: what measure_models.py times."""
