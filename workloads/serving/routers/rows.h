// The rows of the table of routers, one per file of this folder.
#pragma once
#include "workloads/serving/router.h"

namespace flopcast::rows {

RouterRow round_robin();
RouterRow least_outstanding();
RouterRow least_kv();
RouterRow prefix_aware();
RouterRow cache_aware();
RouterRow power_of_two();

}  // namespace flopcast::rows
