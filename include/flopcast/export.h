// What the shared library shows of itself; everything else is hidden.
#pragma once

#if defined(__GNUC__)
#define FLOPCAST_API __attribute__((visibility("default")))
#else
#define FLOPCAST_API
#endif
