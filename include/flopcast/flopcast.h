// Flopcast as a library: load_environment(), resolve(), run(), and the report of a run.
#pragma once
#include "flopcast/environment.h"
#include "flopcast/errors.h"
#include "flopcast/extend.h"
#include "flopcast/metrics.h"
#include "flopcast/outcome.h"
#include "flopcast/report.h"
#include "flopcast/run.h"
#include "flopcast/scenario.h"
#include "flopcast/sharing.h"
