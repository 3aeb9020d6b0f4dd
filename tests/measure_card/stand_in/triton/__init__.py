from anything import Anything


def jit(*function, **options):
    return Anything() if function else lambda later: Anything()


def cdiv(a, b):
    return -(-a // b)


def next_power_of_2(n):
    return 1 << (n - 1).bit_length()
