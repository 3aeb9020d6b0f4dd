// From a Hugging Face config.json to a model file of the library.
#pragma once
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "scenarios/read/text/text_file.h"
#include "workloads/model/model.h"

namespace flopcast {

struct ImportOptions {
  std::string name;          ///< what people call the model; empty: what the file, or its folder, is called
  std::string architecture;  ///< one of importable_architectures(); empty: what the file says
};

/// Something about the file that the user should know: a field that was not understood, a value that was
/// assumed, a feature that a model file cannot express.
struct ImportNote {
  Place place;
  std::string field;
  std::string text;
};
/// `file:line:col: field: text`
std::string to_string(const ImportNote& note);

struct ImportedModel {
  ModelConfig model;
  std::string text;  ///< the model file: what flopcast import-model writes
  std::vector<ImportNote> notes;
};

/// The values of "architectures" that can be read.
std::span<const std::string> importable_architectures();

/// @param file a config.json, or the folder of one. Where safetensors files lie beside it, their headers are counted
/// and a note says by how many elements the model differs.
/// @throws InputError with everything that is wrong: no such file, no JSON object, an unknown architecture,
/// fields that are missing, of the wrong type, outside the bounds of scenarios/proto/library.proto, or at
/// odds with each other.
ImportedModel import_model(const std::string& file, const ImportOptions& options = {});

}  // namespace flopcast
