// What the weights beside a config.json really hold: shapes from the headers of safetensors files, nothing else of
// them.
#pragma once
#include <cstdint>
#include <string>

namespace flopcast {

/// Elements as the model computes with them: packed ones unpacked, scales of quantised weights not counted.
struct TensorCount {
  std::uint64_t language = 0;  ///< layers, embedding, head, norms
  std::uint64_t modules = 0;   ///< of multi-token prediction: layers beyond the model's
  std::uint64_t encoders = 0;  ///< of images and sounds, with what joins them to the language part
  std::uint64_t scales = 0;    ///< of quantised weights
  int files = 0;
  std::uint64_t indexed_bytes = 0;  ///< of an index whose files are not there; 0: it does not say
};

/// @param layers of the model: those with higher numbers are modules. No files: none of them is a fault, and of their
/// index the size is taken.
/// @throws InputError for a file whose header is no header, or that the index names and that is not there.
TensorCount count_tensors(const std::string& folder, int layers);

}  // namespace flopcast
