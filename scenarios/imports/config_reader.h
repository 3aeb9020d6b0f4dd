// One config.json, field by field. Every name that is asked for counts as understood; faults and notes are collected.
#pragma once
#include <array>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "scenarios/imports/families.h"
#include "scenarios/imports/import_model.h"
#include "scenarios/proto/library.pb.h"
#include "scenarios/read/text/json_file.h"

namespace flopcast {

enum class Need : std::uint8_t { required, optional };

/// A whole number of the model file and what config.json files call it; bounds are those of the model file.
struct NumberField {
  std::string_view target;
  std::array<std::string_view, 10> names;
  Need need = Need::required;
};

class ConfigReader {
 public:
  ConfigReader(JsonObject object, const ModelClass& family);

  const ModelClass& family() const { return family_; }
  proto::Model& model() { return model_; }

  /// The field's value; null where it is absent or null, which mean the same in these files.
  const google::protobuf::Value* find(std::string_view name);
  bool has(std::string_view name) { return find(name) != nullptr; }
  /// It stands there, with null.
  bool is_null(std::string_view name) const;
  /// The entries of a list; none where the field is absent. A fault where it is something else.
  std::vector<google::protobuf::Value> entries(std::string_view name);
  std::string text(std::string_view name);
  bool flag(std::string_view name, bool otherwise);
  /// Fields that are stated, begin so and have not been asked for.
  std::vector<std::string> not_asked_for(std::string_view beginning) const;
  /// A whole number that is no figure of the model itself. A fault where it is none, or outside the bounds.
  int whole(std::string_view name, int otherwise, int least = 0, int most = 100'000'000);

  /// True when the model has the number now.
  bool number(const NumberField& field);
  /// Sets a number of the model that follows from the field `name`.
  void derive(std::string_view target, int value, std::string_view name);
  /// The name that a number of the model was read from.
  std::string origin(const std::string& target) const;

  void fault(std::string_view name, std::string found, std::string expected, std::string suggestion = "");
  void note(std::string_view name, std::string text);
  bool faulty() const { return !faults_.empty(); }

  /// Names what was not understood and what is missing. @throws InputError where anything is wrong.
  void finish();
  const std::vector<ImportNote>& notes() const { return notes_; }

 private:
  std::string bounds(const NumberField& field);
  bool store(const NumberField& field, std::string_view name, const google::protobuf::Value& value);
  void note_unknown_fields();
  void refuse_unknown_sizes();
  void report_missing();
  void check_laws();

  JsonObject object_;
  ModelClass family_;
  proto::Model model_;
  std::set<std::string> understood_;
  std::set<std::string, std::less<>> no_lists_;  // that have been said to be none
  std::vector<NumberField> missing_;
  std::map<std::string, std::string> origins_;
  Diagnostics faults_;
  std::vector<ImportNote> notes_;
};

/// A value as it can stand in a diagnostic.
std::string shown(const google::protobuf::Value& value);

// The parts of a model, in this order.
void read_layers(ConfigReader& config);     ///< how many, of which kinds
void read_attention(ConfigReader& config);  ///< heads, windows, indexers
void read_state_layers(ConfigReader& config);
void read_networks(ConfigReader& config);  ///< dense FFNs and experts
void read_layer_embeddings(ConfigReader& config);
void note_formats(ConfigReader& config);   ///< in which weights are stored
void read_encoders(ConfigReader& config);  ///< of images and sounds

/// Layers by what they are, where the file lists or counts them; -1: it does not.
struct LayerKinds {
  int windowed = -1;
  int with_state = -1;
  int with_experts = -1, with_ffn = -1;  ///< where blocks are mixers and networks apart
};
LayerKinds layer_kinds(ConfigReader& config);

}  // namespace flopcast
