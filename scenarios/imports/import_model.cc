#include "scenarios/imports/import_model.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <filesystem>

#include <fmt/format.h>
#include <google/protobuf/text_format.h>

#include "scenarios/imports/config_reader.h"
#include "scenarios/imports/tensors.h"
#include "scenarios/proto/library.pb.h"
#include "scenarios/read/libraries/library_entries.h"
#include "scenarios/read/text/json_file.h"
#include "sim/base/plain_text.h"

namespace flopcast {
namespace {

namespace pb = google::protobuf;
using pb::Value;

/// Files of quantised models list the layers that are not: MiniMax-M3's in NVFP4 has 3 MB.
constexpr std::size_t kLargestConfig = std::size_t{16} << 20;

std::string read_config(const std::string& file) {
  try {
    return read_text_file(file, {"of a model", kLargestConfig});
  } catch (const InputError& error) {
    Diagnostic fault = error.diagnostics().front();
    fault.expected = fmt::format("a Hugging Face config.json of at most {} MiB", kLargestConfig >> 20);
    throw InputError(std::move(fault));
  }
}

std::string text_of(const JsonObject& object, const std::string& name) {
  const auto found = object.fields.find(name);
  return found == object.fields.end() ? "" : found->second.string_value();
}

/// Fields of objects within the file, which say parts of the same model, beside those round them; the inner ones win.
/// @return the type of the innermost language model, "" where none is stated.
std::string flatten(JsonObject& object) {
  std::string inner_type;
  for (const char* inner : {"thinker_config", "text_config", "llm_config", "language_config", "attn_config",
                            "ffn_config", "linear_attn_config", "sparse_attention_config"}) {
    const auto found = object.fields.find(inner);
    if (found == object.fields.end() || found->second.kind_case() != Value::kStructValue) continue;
    const pb::Struct fields = found->second.struct_value();
    object.fields.erase(found);
    const bool whole_model = std::string_view(inner).ends_with("xt_config") ||
                             std::string_view(inner).starts_with("l") || std::string_view(inner).starts_with("th");
    for (const auto& [name, value] : fields.fields()) {
      const bool stands_outside = object.fields.contains(name);
      if (name == "model_type" && whole_model) inner_type = value.string_value();
      if (name == "model_type" || name == "architectures") continue;
      if (!stands_outside || (whole_model && value.kind_case() != Value::kNullValue)) object.fields[name] = value;
    }
  }
  constexpr std::string_view kTail = "_text";
  if (inner_type.ends_with(kTail)) inner_type.resize(inner_type.size() - kTail.size());
  return inner_type;
}

double number_in(const JsonObject& object, const std::string& name) {
  const auto found = object.fields.find(name);
  return found == object.fields.end() ? 0 : found->second.number_value();
}

/// LongCat-Flash: what its file calls a layer is two, each with attention and a dense FFN, the first with experts
/// beside it (arXiv 2509.01322, section 2). Some of the experts that a token is sent to are empty ("zero experts").
std::string unfold_longcat(JsonObject& object) {
  const double experts = number_in(object, "n_routed_experts"), empty = number_in(object, "zero_expert_num");
  const double chosen = number_in(object, "moe_topk"), width = number_in(object, "ffn_hidden_size");
  const double layers = std::max(number_in(object, "num_layers"), number_in(object, "num_hidden_layers"));
  if (!(experts > 0 && chosen > 0 && width > 0 && layers > 0 && empty >= 0)) return "";
  const auto set = [&](const char* name, double number) { object.fields[name].set_number_value(number); };
  set("num_hidden_layers", 2 * layers);
  set("intermediate_size", width);
  set("shared_expert_intermediate_size", width);
  set("moe_intermediate_size", number_in(object, "expert_ffn_hidden_size"));
  set("num_experts_per_tok", std::max(1.0, std::round(chosen * experts / (experts + empty))));
  set("decoder_sparse_step", 2);
  for (const char* name :
       {"num_layers", "ffn_hidden_size", "expert_ffn_hidden_size", "moe_topk", "zero_expert_num", "zero_expert_type"})
    object.fields.erase(name);
  return "each of its layers is two here, every second one with experts beside its FFN; of the experts that a token is "
         "sent "
         "to, empty ones are left out on average";
}

/// How weights are stored where NVIDIA's ModelOpt says it: in a file beside this one. @return what was done.
std::string formats_beside(JsonObject& object, const std::string& file) {
  constexpr const char* kName = "quantization_config";
  const auto stated = object.fields.find(kName);
  if (stated != object.fields.end() && stated->second.kind_case() != Value::kNullValue) return "";
  const std::filesystem::path other = std::filesystem::path(file).parent_path() / "hf_quant_config.json";
  std::error_code ignored;
  if (!std::filesystem::is_regular_file(other, ignored)) return "";
  const JsonObject beside =
      parse_json_object(read_text_file(other.string(), {"of formats", kLargestConfig}), other.string());
  const auto found = beside.fields.find("quantization");
  if (found == beside.fields.end() || found->second.kind_case() != Value::kStructValue)
    throw InputError(Diagnostic{.file = other.string(),
                                .line = 1,
                                .column = 1,
                                .field = "quantization",
                                .found = "nothing",
                                .expected = "an object that says how weights are stored"});
  object.fields[kName] = found->second;
  return "read from hf_quant_config.json beside this file";
}

[[noreturn]] void refuse_architecture(Diagnostic fault, const std::string& found) {
  const auto all = importable_architectures();
  fault.expected = fmt::format("one of {}", fmt::join(all, ", "));
  fault.suggestion = nearest_name(found, {all.begin(), all.end()});
  throw InputError(std::move(fault));
}

/// Two matrices or three, of a class that is not known: by its activation function. @throws InputError for one that
/// does not say.
bool gated_by_activation(const JsonObject& object) {
  for (const char* name : {"hidden_act", "hidden_activation", "mlp_hidden_act", "activation_function"}) {
    const std::string act = text_of(object, name);
    if (act.empty()) continue;
    for (const char* product : {"silu", "swi", "glu", "gelu_pytorch_tanh"})  // situ, a bounded SwiGLU: Kimi K3
      if (act.find(product) != std::string::npos) return true;
    if (act == "situ") return true;
    for (const char* plain : {"gelu", "relu", "tanh", "sigmoid", "identity", "linear", "mish", "elu"})
      if (act.find(plain) != std::string::npos) return false;
    throw InputError(object.places.fault(
        name, quoted(act),
        "an activation function that says whether an FFN has two matrices or three; or --as ARCHITECTURE"));
  }
  return true;
}

void check_architectures(const JsonObject& object) {
  const auto listed = object.fields.find("architectures");
  if (listed == object.fields.end() || listed->second.kind_case() == Value::kNullValue) return;
  const Value& value = listed->second;
  const auto& entries = value.list_value().values();
  const bool names = value.kind_case() == Value::kListValue && std::ranges::all_of(entries, [](const Value& entry) {
                       return entry.kind_case() == Value::kStringValue;
                     });
  if (!names)
    throw InputError(object.places.fault("architectures", entries.empty() ? shown(value) : shown(entries[0]),
                                         "a list of names, such as [\"LlamaForCausalLM\"]"));
}

std::string named_architecture(const JsonObject& object) {
  const auto listed = object.fields.find("architectures");
  const bool any = listed != object.fields.end() && listed->second.list_value().values_size() > 0;
  return any ? listed->second.list_value().values(0).string_value() : "";
}

/// The class of a model, and where it is not known by name what was gone by instead.
struct KnownAs {
  ModelClass family;
  std::string note;
};

KnownAs by_fields(const JsonObject& object, const std::string& name) {
  const std::string_view stored = find_model_class("LlamaForCausalLM")->architecture;
  const bool gated = gated_by_activation(object);
  return {class_by_fields(stored, gated),
          fmt::format("{} is not known by name: read by its fields, {} matrices in an FFN by its activation function, "
                      "embeddings tied unless tie_word_embeddings says otherwise",
                      quoted(name), gated ? "three" : "two")};
}

/// By what the user says, by the first of "architectures", by "model_type", or by the fields alone. @param inner the
/// type of the language model within.
KnownAs family_of(const JsonObject& object, const std::string& asked_for, const std::string& inner) {
  if (!asked_for.empty()) {
    if (const ModelClass* family = find_model_class(asked_for)) return {*family, ""};
    refuse_architecture({"", 0, 0, "--as", quoted(asked_for), "", ""}, asked_for);
  }
  const std::string name = named_architecture(object), type = text_of(object, "model_type");
  if (const std::string_view why = why_refused(type, name); !why.empty())
    throw InputError(object.places.fault(name.empty() ? "model_type" : "architectures",
                                         quoted(name.empty() ? type : name) + ", " + std::string(why), "a decoder"));
  const ModelClass* const own = find_model_class(name);
  // A wrapper for several language models says within which one it holds.
  const ModelClass* const within = inner.empty() || inner == type ? nullptr : model_class_of_type(inner);
  const bool wraps_any = own && own->architecture == "Mistral3ForConditionalGeneration";
  if (within && (!own || wraps_any)) {
    if (own && within->model_type == "mistral") return {*own, ""};
    return {*within, fmt::format("{} holds a language model of type {}: read as that",
                                 quoted(name.empty() ? type : name), inner)};
  }
  if (wraps_any && !inner.empty() && inner != type) return by_fields(object, inner);
  if (own) return {*own, ""};
  if (const ModelClass* family = model_class_of_type(type)) {
    if (name.empty()) return {*family, ""};
    return {*family, fmt::format("{} is not known by name: read as {}", quoted(name), type)};
  }
  const auto all = importable_architectures();
  const bool slip = !nearest_name(name, {all.begin(), all.end()}).empty() && type.empty();
  if ((name.empty() && type.empty()) || slip)
    refuse_architecture(object.places.fault("architectures", name.empty() ? "nothing" : quoted(name), ""), name);
  return by_fields(object, name.empty() ? type : name);
}

/// "meta-llama/Llama-3.1-8B" and "Llama-3.1-8B/config.json" are both Llama-3.1-8B.
std::string title_of(const JsonObject& object, const std::string& file, const std::string& otherwise) {
  const std::filesystem::path path(file);
  const std::string known_as = std::filesystem::path(text_of(object, "_name_or_path")).filename();
  if (!known_as.empty()) return known_as;
  if (path.stem() != "config") return path.stem();
  const std::string folder = path.parent_path().filename();
  return folder.empty() || folder.starts_with('.') ? otherwise : folder;
}

/// The day the file was last written: nothing in it says when it was published.
std::string date_of(const std::string& file) {
  const auto written = std::chrono::file_clock::to_sys(std::filesystem::last_write_time(file));
  const std::chrono::year_month_day day(std::chrono::floor<std::chrono::days>(written));
  return fmt::format("{:04}-{:02}-{:02}", static_cast<int>(day.year()), static_cast<unsigned>(day.month()),
                     static_cast<unsigned>(day.day()));
}

/// As it can stand in a comment, which ends with the line.
std::string one_line(std::string text) {
  std::replace_if(
      text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < 0x20; }, ' ');
  return visible(text);
}

std::string header(const ModelConfig& model, const std::string& origin, const std::vector<ImportNote>& notes) {
  const ParameterCount count = count_parameters(model);
  std::string out = fmt::format("# {}: {:.2f} B parameters, {:.2f} B active per token", one_line(model.title),
                                count.total / 1e9, count.active / 1e9);
  out += " (output head counted, embedding not)";
  if (model.encoder_parameters > 0) {
    const auto encoders = static_cast<double>(model.encoder_parameters);
    out += fmt::format(";\n# encoders beside it, not counted here: {:.2f} B, {:.2f} B together", encoders / 1e9,
                       (encoders + count.total) / 1e9);
  }
  if (model.mtp_depth > 0)
    out += fmt::format(";\n# MTP modules, not counted here: {} x {:.2f} B", model.mtp_depth, count.mtp_module / 1e9);
  out += ".\n# Imported from " + one_line(origin) + ".\n";
  for (const ImportNote& note : notes) {
    const std::string field = note.field.empty() ? "" : note.field + ": ";
    out += "# " + one_line(field + note.text) + ".\n";
  }
  return out;
}

std::string printed(const proto::Model& model) {
  pb::TextFormat::Printer printer;
  printer.SetUseUtf8StringEscaping(true);
  std::string text;
  printer.PrintToString(model, &text);
  return text;
}

}  // namespace

std::span<const std::string> importable_architectures() {
  static const std::vector<std::string> kNames = [] {
    std::vector<std::string> names;
    for (const ModelClass& family : model_classes()) names.emplace_back(family.architecture);
    return names;
  }();
  return kNames;
}

std::string to_string(const ImportNote& note) {
  std::string out = one_line(note.place.file);
  if (note.place.line > 0) out += fmt::format(":{}:{}", note.place.line, note.place.column);
  if (!note.field.empty()) out += ": " + one_line(note.field);
  return out + ": " + one_line(note.text);
}

namespace {

/// What the index of weights that are not there says of their size. In 16 bits that is a number of elements.
std::string index_note(const ModelConfig& model, double counted, std::uint64_t bytes) {
  std::string text = fmt::format("the index beside this file states {} bytes, its weights are not there", bytes);
  const bool in_16_bits = model.published_weights == PublishedWeights::bf16;
  const double held = static_cast<double>(bytes) / 2;
  if (!in_16_bits) return text + ": in this model's formats no number of elements follows";
  if (held == counted) return text + ": in 16 bits exactly as many elements as this model counts";
  text +=
      fmt::format(": in 16 bits {:.0f} elements; this model counts {:.0f}, {:.0f} {} ({:.4f} %)", held, counted,
                  std::abs(counted - held), counted > held ? "more" : "fewer", 100 * std::abs(counted - held) / held);
  return text + (held > counted ? ", which may be encoders, MTP modules or 32 bits" : "");
}

/// The count of the model beside that of the weights, where they lie beside its file: to the last one.
std::string tensor_note(const ModelConfig& model, const std::string& file) {
  const std::filesystem::path folder = std::filesystem::path(file).parent_path();
  const TensorCount held = count_tensors(folder.empty() ? "." : folder.string(), model.layers);
  const double counted = count_parameters(model).total;
  if (held.files == 0) return held.indexed_bytes > 0 ? index_note(model, counted, held.indexed_bytes) : "";
  const double real = static_cast<double>(held.language);
  std::string text =
      fmt::format("{} safetensors files hold {} elements of the language model", held.files, held.language);
  if (held.modules > 0) text += fmt::format(", {} of MTP modules", held.modules);
  if (held.encoders > 0) {
    text += fmt::format(", {} of encoders", held.encoders);
    if (static_cast<std::int64_t>(held.encoders) != model.encoder_parameters)
      text += fmt::format(" (this model counts {})", model.encoder_parameters);
  }
  if (counted == real) return text + ": exactly as many as this model counts";
  text += fmt::format("; this model counts {:.0f}, {:.0f} {}", counted, std::abs(counted - real),
                      counted > real ? "more" : "fewer");
  const double share = real > 0 ? std::abs(counted - real) / real : 1.0;
  // What is many times off is another model's: a percentage says nothing.
  if (share > 10) return text + ": these files are another model's";
  return text + fmt::format(" ({:.4f} %)", 100 * share);
}

}  // namespace

ImportedModel import_model(const std::string& file_or_folder, const ImportOptions& options) {
  std::error_code ignored;
  const std::string file = std::filesystem::is_directory(file_or_folder, ignored)
                               ? (std::filesystem::path(file_or_folder) / "config.json").string()
                               : file_or_folder;
  JsonObject object = parse_json_object(read_config(file), file);
  check_architectures(object);
  const std::string formats = formats_beside(object, file);
  const std::string inner = flatten(object);
  const std::string unfolded = text_of(object, "model_type") == "longcat_flash" ? unfold_longcat(object) : "";
  const KnownAs known = family_of(object, options.architecture, inner);
  const std::string named = named_architecture(object), type = text_of(object, "model_type");
  const std::string title =
      visible(options.name.empty() ? title_of(object, file, type.empty() ? named : type) : options.name);
  const std::string shown_as = known.note.empty() ? std::string(known.family.architecture) : named;
  const std::string origin = visible(fmt::format("{} ({})", file, shown_as));

  ConfigReader config(std::move(object), known.family);
  if (!known.note.empty()) config.note("architectures", known.note);
  if (!unfolded.empty()) config.note("num_hidden_layers", unfolded);
  if (!formats.empty()) config.note("quantization_config", formats);
  read_layers(config);
  read_attention(config);
  read_state_layers(config);
  read_networks(config);
  read_layer_embeddings(config);
  note_formats(config);
  read_encoders(config);
  config.finish();
  Entry<proto::Model> entry;
  entry.message = config.model();
  entry.message.set_title(title);
  proto::Source& source = *entry.message.add_sources();
  source.set_text(origin + ", by flopcast import-model");
  source.set_date(date_of(file));

  Diagnostics none;  // finish() has checked
  ImportedModel out;
  out.model = model_config(entry, none);
  out.notes = config.notes();
  if (const std::string note = tensor_note(out.model, file); !note.empty())
    out.notes.push_back({{file, 0, 0}, "weights", note});
  out.text = header(out.model, origin, out.notes) + printed(entry.message);
  return out;
}

}  // namespace flopcast
