// The rows of the table of kinds of attention.
#pragma once
#include "workloads/model/attention_kinds.h"

namespace flopcast::rows {

AttentionKindRow multi_head();
AttentionKindRow grouped_query();
AttentionKindRow latent();

}  // namespace flopcast::rows
