"""A tensor, a stream, an event, a module: whatever it is asked for, it gives another such thing. Every kernel takes 50 us."""

ELAPSED_MS = 0.05


class OutOfMemory(Exception):
    pass


class Anything:
    def __init__(self, *args, **options):
        pass

    def __getattr__(self, name):
        if name.startswith("__") and name.endswith("__"):
            raise AttributeError(name)
        return Anything()

    def __call__(self, *args, **options):
        return Anything()

    def __getitem__(self, index):
        return Anything()

    def __setitem__(self, index, value):
        pass

    def __iter__(self):
        return iter((Anything(), Anything()))

    def __len__(self):
        return 2

    def __int__(self):
        return 4

    def __index__(self):
        return 4

    def __float__(self):
        return 4.0

    def __enter__(self):
        return self

    def __exit__(self, *error):
        return False

    def __lt__(self, other):
        return False

    __gt__ = __lt__

    def chunk(self, parts, dim=0):
        return tuple(Anything() for _ in range(parts))

    def split(self, sizes):
        return tuple(Anything() for _ in sizes)

    def numel(self):
        return 1 << 28

    def elapsed_time(self, end):
        return ELAPSED_MS

    @property
    def shape(self):
        return 16, 4096


def operator(self, *others):
    return Anything()


for name in ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "matmul", "neg", "and", "or"):
    for kind in ("__%s__", "__r%s__", "__i%s__"):
        setattr(Anything, kind % name, operator)


def module_attribute(name):
    """For a module's own __getattr__."""
    if name.startswith("__"):
        raise AttributeError(name)
    return Anything()
