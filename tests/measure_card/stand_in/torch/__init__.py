import contextlib

from anything import Anything, OutOfMemory, module_attribute as __getattr__  # noqa: F401

__version__ = "stand-in"


class Cuda(Anything):
    OutOfMemoryError = OutOfMemory


cuda = Cuda()
enable_grad = contextlib.nullcontext


def set_grad_enabled(enabled):
    pass


def compile(function):
    return function
