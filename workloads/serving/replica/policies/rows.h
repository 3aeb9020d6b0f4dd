// The rows of the tables of policies, one per file of this folder.
#pragma once
#include "workloads/serving/policies.h"

namespace flopcast::rows {

BatchingRow mixed();
BatchingRow prefill_first();
BatchingRow decode_first();
AdmissionRow prompt();
AdmissionRow whole();
PreemptionRow recompute();
PreemptionRow swap();

}  // namespace flopcast::rows
