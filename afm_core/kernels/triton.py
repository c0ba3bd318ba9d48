"""placeholder until the Triton kernels land"""


def available():
    return False


def attend(*a):
    raise NotImplementedError
