"""A board of 700 W at 1,980 MHz."""
import time

NVML_CLOCK_SM = 1


def nvmlInit():
    pass


def nvmlDeviceGetHandleByIndex(index):
    return index


def nvmlDeviceGetClockInfo(board, clock):
    return 1980


def nvmlDeviceGetPowerUsage(board):
    return 700_000


def nvmlDeviceGetTotalEnergyConsumption(board):
    return int(700_000 * time.time())
