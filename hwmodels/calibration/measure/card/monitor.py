"""Samples clock, power and temperature of the board until it is killed."""
import os
import time

from card.files import OUT

COLUMNS = "t_unix,sm_mhz,mem_mhz,power_avg_w,power_inst_w,temp_c,energy_mj,reasons,mem_used_mib,mem_temp_c"
PERIOD_S = 0.12
# NVML_FI_DEV_POWER_INSTANT, NVML_FI_DEV_MEMORY_TEMP
POWER_INSTANT, MEMORY_TEMPERATURE = 186, 82


def run():
    import pynvml as nvml

    nvml.nvmlInit()
    board = nvml.nvmlDeviceGetHandleByIndex(0)
    reasons = getattr(nvml, "nvmlDeviceGetCurrentClocksEventReasons", None)
    reasons = reasons or nvml.nvmlDeviceGetCurrentClocksThrottleReasons

    def field(number):
        value = nvml.nvmlDeviceGetFieldValues(board, [number])[0]
        return value.value.uiVal if value.nvmlReturn == 0 else ""

    samples = (
        lambda: nvml.nvmlDeviceGetClockInfo(board, nvml.NVML_CLOCK_SM),
        lambda: nvml.nvmlDeviceGetClockInfo(board, nvml.NVML_CLOCK_MEM),
        lambda: nvml.nvmlDeviceGetPowerUsage(board) / 1000.0,
        lambda: field(POWER_INSTANT) / 1000.0,
        lambda: nvml.nvmlDeviceGetTemperature(board, 0),
        lambda: nvml.nvmlDeviceGetTotalEnergyConsumption(board),
        lambda: hex(reasons(board)),
        lambda: nvml.nvmlDeviceGetMemoryInfo(board).used >> 20,
        lambda: field(MEMORY_TEMPERATURE),
    )

    def known(sample):
        try:
            return str(sample())
        except Exception:
            return ""

    with open(os.path.join(OUT, "monitor.csv"), "a", buffering=1) as file:
        file.write(COLUMNS + "\n")
        while True:
            begin = time.time()
            file.write("%.3f,%s\n" % (begin, ",".join(known(sample) for sample in samples)))
            time.sleep(max(0.02, PERIOD_S - (time.time() - begin)))
