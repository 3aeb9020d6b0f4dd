"""Runs the tests of this folder, or says why not. run.py EXTENSION_FOLDER PROGRAM"""
import importlib.util
import os
import pathlib
import sys

SKIPPED = 77  # as ctest is told

module_folder, program = sys.argv[1:3]
for name in ("pytest", "numpy"):
    if importlib.util.find_spec(name) is None:
        print(f"skipped: {sys.executable} has no {name} (Debian: python3-{name})")
        sys.exit(SKIPPED)
os.environ["FLOPCAST_PROGRAM"] = program
os.environ["PYTHONPATH"] = module_folder
os.environ.pop("FLOPCAST_LIBRARY", None)
sys.dont_write_bytecode = True
sys.path.insert(0, module_folder)
import pytest

sys.exit(pytest.main(["-q", "-p", "no:cacheprovider", str(pathlib.Path(__file__).parent), *sys.argv[3:]]))
