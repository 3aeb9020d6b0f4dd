#include "scenarios/imports/runs/import_run.h"

#include <algorithm>
#include <array>
#include <filesystem>

#include <fmt/format.h>

#include "hwmodels/fabric/node_count.h"
#include "scenarios/imports/runs/launchers.h"
#include "scenarios/imports/runs/run_plans.h"
#include "sim/base/plain_text.h"

namespace flopcast {
namespace {

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
    constexpr std::string_view kOfTensorRt[] = {"enable-attention-dp",       "kv-cache-config.dtype",
                                                "cuda-graph-config",         "cuda-graph-config.max-batch-size",
                                                "capacity-scheduler-policy", "kv-cache-config.free-gpu-memory-fraction",
                                                "disable-overlap-scheduler", "kv-cache-config.enable-block-reuse"};
    if (std::ranges::any_of(kOfTensorRt, [&](std::string_view name) { return has_name(all, name); })) {
      ForeignSettings settings(std::move(all));
      return finish(trtllm_job(settings, options_.model, libraries_, options_), settings);
    }
    const bool nemo = has_name(all, "devices") || has_name(all, "trainer.num-nodes");
    ForeignSettings settings(without_sections(std::move(all)));
    return finish(megatron_job(settings, 0, libraries_, options_, nemo ? "NeMo" : "Megatron-Bridge"), settings);
  }

  ImportedRun command() {
    const ShellScript script = read_shell(text_, file_);
    written_ = script.files;
    script_notes_ = script.notes;
    const RunCommand command = launch_command(script, file_);
    const auto there = [&](std::size_t at) { return at < command.words.size(); };
    const auto followed = [&](std::size_t at) { return at + 1 < command.size() && command.words[at + 1] == "serve"; };
    if (const std::size_t at = index_of(command, {"vllm"}); followed(at))
      return served(command, at + 2, vllm_job, false);
    if (const std::size_t at = index_of(command, {"vllm.entrypoints.openai.api_server"}); there(at))
      return served(command, at + 1, vllm_job, false);
    if (const std::size_t at = index_of(command, {"trtllm-serve"}); there(at))
      return served(command, at + (followed(at) ? 2 : 1), trtllm_job, true);
    if (const std::size_t at = index_of(command, {"sglang"}); followed(at))
      return served(command, at + 2, sglang_job, false);
    if (const std::size_t at = index_of(command, {"sglang.launch_server"}); there(at))
      return served(command, at + 1, sglang_job, false);
    const std::size_t titan_at = index_of(command, {"torchtitan.train", "train.py"});
    const ParsedFlags flags = parse_flags(command, std::min(titan_at + 1, command.size()));
    if (there(titan_at) && std::ranges::any_of(flags.settings, [](const RunSetting& s) {
          return s.name == "job.config-file" || s.name.find('.') != std::string::npos;
        })) {
      std::vector<RunSetting> all;
      for (const RunSetting& s : flags.settings)
        if (s.name == "job.config-file" && s.unknown.empty()) all = parse_run_toml(beside(s.value), s.value);
      all.insert(all.end(), flags.settings.begin(), flags.settings.end());
      ForeignSettings settings(std::move(all));
      settings.find({"job.config-file"}, "a file of options, read");
      regard(flags, 0, settings);
      const int gpus = gpus_launched(command, titan_at, script, settings);
      return finish(torchtitan_job(settings, gpus, libraries_, options_), settings);
    }
    const std::size_t script_at = index_of(
        command, {"pretrain_gpt.py", "pretrain_mamba.py", "pretrain_t5.py", "pretrain_bert.py", "train_gpt.py"});
    // Of another program's arguments all are Megatron's from the first flag that only it has.
    const ParsedFlags plain = parse_flags(command, there(script_at) ? script_at + 1 : 0);
    ForeignSettings settings(plain.settings);
    if (there(script_at)) regard(plain, 0, settings);
    const int gpus = gpus_launched(command, there(script_at) ? script_at : command.size(), script, settings);
    return finish(megatron_job(settings, gpus, libraries_, options_, "Megatron-LM"), settings);
  }

  /// What stands among the flags and is none: flags may hide in it, or it has no place. @param expected so many words.
  static void regard(const ParsedFlags& flags, std::size_t expected, ForeignSettings& settings) {
    for (const UnknownVariable& variable : flags.strangers) settings.fault(variable);
    for (std::size_t i = expected; i < flags.arguments.size(); ++i)
      settings.note("belongs to no flag, not used: " + flags.arguments[i].value);
  }

  int gpus_launched(const RunCommand& command, std::size_t program, const ShellScript& script,
                    ForeignSettings& settings) const {
    if (options_.gpus > 0) return 0;
    LaunchedGpus launched = launched_gpus(command, program, script.batch);
    if (!launched.note.empty()) settings.note(launched.note);
    if (launched.fault) throw InputError(std::move(*launched.fault));
    return launched.gpus;
  }

  template <class Job>
  /// @param file_wins over flags (TensorRT-LLM), or flags over the file that they name.
  ImportedRun served(const RunCommand& command, std::size_t first, Job job, bool file_wins) {
    const ParsedFlags flags = parse_flags(command, first);
    std::vector<RunSetting> all = flags.settings;
    for (const RunSetting& setting : flags.settings) {
      if ((setting.name != "extra-llm-api-options" && setting.name != "config") || !setting.unknown.empty()) continue;
      const std::vector<RunSetting> more = parse_run_yaml(beside(setting.value), setting.value);
      all.insert(file_wins ? all.end() : all.begin(), more.begin(), more.end());
    }
    ForeignSettings settings(std::move(all));
    settings.find({"extra-llm-api-options", "config"}, "a file of options, read");
    regard(flags, 1, settings);
    const std::string named = flags.arguments.empty() ? "" : flags.arguments.front().value;
    if (!named.empty() && !flags.arguments.front().unknown.empty() && options_.model.empty())
      settings.fault(flags.arguments.front().unknown.front(), "model");
    return finish(job(settings, named, libraries_, options_), settings);
  }

  /// A file that the command names: one that its script writes, or relative to where the command's own file is.
  std::string beside(const std::string& name) const {
    const std::filesystem::path path(name);
    for (const ShellFile& file : written_)
      if (file.name == name) return file.text;
    return read_text_file((path.is_absolute() ? path : std::filesystem::path(file_).parent_path() / path).string(),
                          {.content = "of settings"});
  }

  ImportedRun finish(RunJob job, ForeignSettings& settings) {
    settings.finish();
    const NodeSpec node = libraries_.node(options_.node);
    const int each = node.gpus, nodes = std::max(1, nodes_for(job.gpus, node));
    ImportedRun out{.framework = job.framework};
    out.text = fmt::format("# From {} of {}, by flopcast import-run.\n", visible(file_), job.framework);
    out.text += remarks("Used:", settings.used());
    out.text += remarks("Without effect on what is predicted:", settings.ignored());
    out.text += remarks("Not known, not used:", settings.unknown());
    std::vector<std::string> notes = settings.notes();
    notes.insert(notes.end(), script_notes_.begin(), script_notes_.end());
    notes.push_back(fmt::format("the cluster is assumed: {} of {} GPUs; --node names another", options_.node, each));
    out.text += remarks("Assumed:", notes);
    out.text += fmt::format("title: \"{} on {} GPUs, as {} starts it\"\n", job.model, job.gpus, job.framework);
    out.text += fmt::format("model: \"{}\"\n", job.model);
    if (!job.override.empty()) out.text += "model_override {\n" + job.override + "}\n";
    out.text += fmt::format("cluster {{ node: \"{}\" nodes: {} fabric: \"{}\" }}\n", options_.node, nodes,
                            nodes > 1 ? "rail-ft2" : "single-switch");
    out.text += job.body + job.run;
    out.notes = notes;
    out.origins = settings.origins();
    for (const std::string& unknown : settings.unknown()) out.notes.push_back("not known, not used: " + unknown);
    return out;
  }

  const std::string& text_;
  const std::string& file_;
  const Libraries& libraries_;
  const ImportRunOptions& options_;
  std::vector<ShellFile> written_;         // by the script that is read
  std::vector<std::string> script_notes_;  // of which of its branches are run
};

}  // namespace

ImportedRun import_run(const std::string& text, const std::string& file, const Libraries& libraries,
                       const ImportRunOptions& options) {
  return RunImport(text, file, libraries, options).run();
}

}  // namespace flopcast
