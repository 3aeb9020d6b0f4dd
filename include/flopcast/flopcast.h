// Flopcast as a library: load_environment(), resolve(), run(), and what a report tells.
#pragma once
#include "flopcast/environment.h"
#include "flopcast/errors.h"
#include "flopcast/extend.h"
#include "flopcast/metrics.h"
#include "flopcast/report.h"
#include "flopcast/run.h"
#include "flopcast/scenario.h"
