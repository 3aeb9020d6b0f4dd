#include "scenarios/imports/runs/import_run.h"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <filesystem>

#include <fmt/format.h>

#include "scenarios/imports/runs/run_plans.h"
#include "sim/base/plain_text.h"

namespace flopcast {
namespace {

/// Of Megatron, vLLM and SGLang: without a value, so that a word behind one is something else.
constexpr std::array<std::string_view, 12> kSwitches{"trust-remote-code",
                                                     "enable-expert-parallel",
                                                     "enforce-eager",
                                                     "async-scheduling",
                                                     "enable-dp-attention",
                                                     "bf16",
                                                     "fp16",
                                                     "swiglu",
                                                     "sequence-parallel",
                                                     "standalone",
                                                     "headless",
                                                     "disable-log-requests"};

std::size_t index_of(const RunCommand& command, std::initializer_list<std::string_view> endings) {
  for (std::size_t i = 0; i < command.words.size(); ++i)
    for (const std::string_view ending : endings)
      if (command.words[i] == ending || command.words[i].ends_with("/" + std::string(ending))) return i;
  return command.words.size();
}

int number_of(const RunCommand& command, std::initializer_list<std::string_view> names, int otherwise) {
  const ParsedFlags flags = parse_flags(command, 0, {});
  for (const RunSetting& setting : flags.settings)
    for (const std::string_view name : names)
      if (setting.name == name && std::atoi(setting.value.c_str()) > 0) return std::atoi(setting.value.c_str());
  return otherwise;
}

/// Flags of torchrun, srun and their like stand before the program: so many GPUs.
int launched_gpus(const RunCommand& command, std::size_t program) {
  RunCommand head;
  head.words.assign(command.words.begin(), command.words.begin() + static_cast<std::ptrdiff_t>(program));
  head.places.assign(command.places.begin(), command.places.begin() + static_cast<std::ptrdiff_t>(program));
  if (const int tasks = number_of(head, {"ntasks", "np", "n"}, 0); tasks > 0) return tasks;
  const int each = number_of(head, {"nproc-per-node", "ntasks-per-node", "gpus-per-node", "num-gpus"}, 0);
  return run_product({each, number_of(head, {"nnodes", "nodes", "num-nodes", "n"}, 1)});
}

enum class RunSyntax : std::uint8_t { command, yaml, toml, json };

RunSyntax syntax_of(const std::string& text, const std::string& file) {
  const std::string ending = std::filesystem::path(file).extension().string();
  if (ending == ".toml") return RunSyntax::toml;
  if (ending == ".yaml" || ending == ".yml") return RunSyntax::yaml;
  if (ending == ".json") return RunSyntax::json;
  if (text.find_first_not_of(" \t\r\n") != std::string::npos && text[text.find_first_not_of(" \t\r\n")] == '{')
    return RunSyntax::json;
  return RunSyntax::command;
}

/// "model.num-layers" -> "num-layers": recipes file Megatron's arguments under sections.
std::vector<RunSetting> without_sections(std::vector<RunSetting> settings) {
  constexpr std::array<std::string_view, 16> kSections{
      "model",           "train",        "training", "trainer",
      "dataset",         "ddp",          "dist",     "optimizer-config",
      "mixed-precision", "comm-overlap", "pretrain", "strategy",
      "plugins",         "model-config", "config",   "recipe"};
  for (RunSetting& setting : settings) {
    for (std::size_t dot; (dot = setting.name.find('.')) != std::string::npos;) {
      if (std::ranges::find(kSections, std::string_view(setting.name).substr(0, dot)) == kSections.end()) break;
      setting.name.erase(0, dot + 1);
    }
  }
  return settings;
}

bool has_name(const std::vector<RunSetting>& settings, std::string_view ending) {
  return std::ranges::any_of(
      settings, [&](const RunSetting& s) { return s.name == ending || s.name.ends_with("." + std::string(ending)); });
}

/// One after the other, with what begins each.
std::string remarks(const std::string& head, const std::vector<std::string>& lines) {
  if (lines.empty()) return "";
  std::string out = "# " + head + "\n";
  for (const std::string& line : lines) {
    std::string plain = line;
    std::ranges::replace(plain, '\n', ' ');
    out += "#   " + visible(plain) + "\n";
  }
  return out;
}

class RunImport {
 public:
  RunImport(const std::string& text, const std::string& file, const Libraries& libraries,
            const ImportRunOptions& options)
      : text_(text), file_(file), libraries_(libraries), options_(options) {}

  ImportedRun run() {
    switch (syntax_of(text_, file_)) {
      case RunSyntax::toml:
        return titan();
      case RunSyntax::yaml:
        return yaml();
      case RunSyntax::json: {
        ForeignSettings settings(parse_run_json(text_, file_));
        return finish(deepspeed_job(settings, 0, libraries_, options_), settings);
      }
      case RunSyntax::command:
        break;
    }
    return command();
  }

 private:
  ImportedRun titan() {
    ForeignSettings settings(parse_run_toml(text_, file_));
    return finish(torchtitan_job(settings, 0, libraries_, options_), settings);
  }
  ImportedRun yaml() {
    std::vector<RunSetting> all = parse_run_yaml(text_, file_);
    if (has_name(all, "enable-attention-dp") || has_name(all, "kv-cache-config.dtype") ||
        has_name(all, "cuda-graph-config.max-batch-size") || has_name(all, "capacity-scheduler-policy")) {
      ForeignSettings settings(std::move(all));
      return finish(trtllm_job(settings, options_.model, libraries_, options_), settings);
    }
    const bool nemo = has_name(all, "devices") || has_name(all, "trainer.num-nodes");
    ForeignSettings settings(without_sections(std::move(all)));
    return finish(megatron_job(settings, 0, libraries_, options_, nemo ? "NeMo" : "Megatron-Bridge"), settings);
  }

  ImportedRun command() {
    const RunCommand command = split_command(text_, file_);
    const auto there = [&](std::size_t at) { return at < command.words.size(); };
    if (const std::size_t at = index_of(command, {"vllm"});
        there(at) && at + 1 < command.words.size() && command.words[at + 1] == "serve")
      return served(command, at + 2, vllm_job);
    if (const std::size_t at = index_of(command, {"vllm.entrypoints.openai.api_server"}); there(at))
      return served(command, at + 1, vllm_job);
    if (const std::size_t at = index_of(command, {"trtllm-serve"}); there(at))
      return served(command, at + 1, trtllm_job);
    if (const std::size_t at = index_of(command, {"sglang.launch_server", "sglang"}); there(at)) {
      ForeignSettings settings(parse_flags(command, at + 1, kSwitches).settings);
      return finish(sglang_job(settings, libraries_, options_), settings);
    }
    const std::size_t titan_at = index_of(command, {"torchtitan.train", "train.py"});
    const ParsedFlags flags = parse_flags(command, std::min(titan_at, command.words.size()), kSwitches);
    if (there(titan_at) && std::ranges::any_of(flags.settings, [](const RunSetting& s) {
          return s.name == "job.config-file" || s.name.find('.') != std::string::npos;
        })) {
      std::vector<RunSetting> all;
      for (const RunSetting& s : flags.settings)
        if (s.name == "job.config-file") all = parse_run_toml(beside(s.value), s.value);
      all.insert(all.end(), flags.settings.begin(), flags.settings.end());
      ForeignSettings settings(std::move(all));
      return finish(torchtitan_job(settings, launched_gpus(command, titan_at), libraries_, options_), settings);
    }
    const std::size_t script = index_of(
        command, {"pretrain_gpt.py", "pretrain_mamba.py", "pretrain_t5.py", "pretrain_bert.py", "train_gpt.py"});
    if (const ParsedFlags plain = parse_flags(command, there(script) ? script + 1 : 0, kSwitches);
        there(script) || has_name(plain.settings, "num-layers")) {
      ForeignSettings settings(plain.settings);
      return finish(
          megatron_job(settings,
                       there(script) ? launched_gpus(command, script) : launched_gpus(command, command.words.size()),
                       libraries_, options_, "Megatron-LM"),
          settings);
    }
    throw InputError(Diagnostic{
        .file = file_,
        .line = 1,
        .column = 1,
        .found = command.words.empty() ? "nothing" : quoted(command.words.front()) + " and what follows",
        .expected =
            "a command of Megatron-LM (pretrain_gpt.py), torchtitan, vllm serve, sglang.launch_server or "
            "trtllm-serve; YAML of NeMo, Megatron-Bridge or TensorRT-LLM, TOML of torchtitan, JSON of DeepSpeed"});
  }

  template <class Job>
  ImportedRun served(const RunCommand& command, std::size_t first, Job job) {
    ParsedFlags flags = parse_flags(command, first, kSwitches);
    std::vector<RunSetting> all = std::move(flags.settings);
    for (const RunSetting& setting : std::vector<RunSetting>(all)) {
      if (setting.name != "extra-llm-api-options") continue;
      const std::vector<RunSetting> more = parse_run_yaml(beside(setting.value), setting.value);
      all.insert(all.end(), more.begin(), more.end());
    }
    ForeignSettings settings(std::move(all));
    return finish(job(settings, flags.arguments.empty() ? "" : flags.arguments.front(), libraries_, options_),
                  settings);
  }

  /// A file that the command names, relative to where the command's own file is.
  std::string beside(const std::string& name) const {
    const std::filesystem::path path(name);
    return read_text_file((path.is_absolute() ? path : std::filesystem::path(file_).parent_path() / path).string(),
                          {.content = "of settings"});
  }

  ImportedRun finish(RunJob job, ForeignSettings& settings) {
    settings.finish();
    const int each = libraries_.node(options_.node).gpus;
    const int nodes = std::max(1, (job.gpus + each - 1) / each);
    ImportedRun out{.framework = job.framework};
    out.text = fmt::format("# From {} of {}, by flopcast import-run.\n", visible(file_), job.framework);
    out.text += remarks("Used:", settings.used());
    out.text += remarks("Without effect on what is predicted:", settings.ignored());
    out.text += remarks("Not known, not used:", settings.unknown());
    std::vector<std::string> notes = settings.notes();
    notes.push_back(fmt::format("the cluster is assumed: {} of {} GPUs; --node names another", options_.node, each));
    out.text += remarks("Assumed:", notes);
    out.text += fmt::format("title: \"{} on {} GPUs, as {} starts it\"\n", job.model, job.gpus, job.framework);
    out.text += fmt::format("model: \"{}\"\n", job.model);
    if (!job.override.empty()) out.text += "model_override {\n" + job.override + "}\n";
    out.text += fmt::format("cluster {{ node: \"{}\" nodes: {} fabric: \"{}\" }}\n", options_.node, nodes,
                            nodes > 1 ? "rail-ft2" : "single-switch");
    out.text += job.body + job.run;
    out.notes = notes;
    for (const std::string& unknown : settings.unknown()) out.notes.push_back("not known, not used: " + unknown);
    return out;
  }

  const std::string& text_;
  const std::string& file_;
  const Libraries& libraries_;
  const ImportRunOptions& options_;
};

}  // namespace

ImportedRun import_run(const std::string& text, const std::string& file, const Libraries& libraries,
                       const ImportRunOptions& options) {
  return RunImport(text, file, libraries, options).run();
}

}  // namespace flopcast
