from anything import Anything

SDPBackend = Anything()


def sdpa_kernel(backend):
    return Anything()
