// What a model's weights take where they are kept or sent: parts that are stored alike, and tensors that are handed
// over one by one. How many parameters each part has is count_parameters() (model.h).
#pragma once
#include "hwmodels/chips/precision.h"
#include "sim/base/units.h"
#include "workloads/model/model.h"

namespace flopcast {

/// Bytes of an element, its share of the scales included.
struct WeightFormats {
  double experts = 2;  ///< routed experts
  double linear = 2;   ///< all other matrices of layers
  double edges = 2;    ///< embedding, output head
};

/// Every matrix of the layers in one number format, embedding and head in BF16, scales left out.
WeightFormats formats_of(Precision linear);

struct WeightBytes {
  Bytes experts;  ///< routed and shared experts
  Bytes others;
  Bytes total() const { return experts + others; }
};
/// Without MTP modules. Norms and gates count as other matrices of layers.
WeightBytes weight_bytes(const ModelConfig& model, const WeightFormats& formats);

/// Matrices and norms, those of every expert one by one, without MTP modules.
std::int64_t weight_tensors(const ModelConfig& model);

}  // namespace flopcast
