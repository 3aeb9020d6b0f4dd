from anything import Anything, module_attribute as __getattr__  # noqa: F401


class Parameter(Anything):
    pass
