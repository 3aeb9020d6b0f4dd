// ./flopcast bench: rates and memory that must hold (docs of the bars: README.md). Each benchmark names its bar.
#include <benchmark/benchmark.h>

BENCHMARK_MAIN();
