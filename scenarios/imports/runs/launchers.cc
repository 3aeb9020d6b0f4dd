#include "scenarios/imports/runs/launchers.h"

#include <algorithm>
#include <charconv>

#include <fmt/format.h>

namespace flopcast {
namespace {

/// Numbers that a launcher is given. Of short flags -N and -n are two (srun: nodes and tasks).
class LauncherFlags {
 public:
  LauncherFlags(const RunCommand& command, std::size_t first, std::size_t end) {
    for (std::size_t i = first; i < end; ++i) add(command, i, end);
  }

  /// 0: not stated, or a fault.
  int number(std::initializer_list<std::string_view> names) {
    for (const std::string_view name : names) {
      // Of several the last, as launchers and argparse have it.
      const auto found =
          std::find_if(flags_.rbegin(), flags_.rend(), [&](const RunSetting& s) { return s.name == name; });
      if (found == flags_.rend()) continue;
      std::string_view text = found->value;
      // --gres=gpu:h100:8, --gpus-per-node=h100:8
      if (const std::size_t colon = text.rfind(':'); colon != std::string_view::npos && name.find('g') != name.npos)
        text.remove_prefix(colon + 1);
      int value = 0;
      const auto [last, error] = std::from_chars(text.data(), text.data() + text.size(), value);
      if (error == std::errc() && last == text.data() + text.size() && value > 0 && value <= 1'000'000) return value;
      Diagnostic fault{.file = found->place.file,
                       .line = found->place.line,
                       .column = found->place.column,
                       .field = found->written,
                       .found = flopcast::quoted(found->value),
                       .expected = "a number, or --gpus N of import-run"};
      if (!found->unknown.empty()) fault = fault_of(found->unknown.front(), found->written);
      if (!fault_) fault_ = std::move(fault);
      return 0;
    }
    return 0;
  }
  const std::optional<Diagnostic>& fault() const { return fault_; }

 private:
  static Diagnostic fault_of(const UnknownVariable& variable, const std::string& flag) {
    return {.file = variable.place.file,
            .line = variable.place.line,
            .column = variable.place.column,
            .field = flag,
            .found = variable.written + ", " + variable.why,
            .expected = "its value, in its place or set in the file; or --gpus N of import-run"};
  }

  void add(const RunCommand& command, std::size_t& i, std::size_t end) {
    const std::string& word = command.words[i];
    const auto stranger = std::ranges::find_if(command.unknown[i], &UnknownVariable::may_be_words);
    if (word.size() < 2 || word[0] != '-') {
      if (stranger != command.unknown[i].end() && !fault_) fault_ = fault_of(*stranger, "");
      return;
    }
    const bool is_short = word[1] != '-';
    const std::size_t equals = word.find('=');
    RunSetting flag{word.substr(0, equals), "", command.places[i], word.substr(0, equals)};
    if (!is_short || flag.name.size() > 2) flag.name = run_setting_name(flag.name);
    if (equals != std::string::npos) {
      flag.value = word.substr(equals + 1);
      flag.unknown = command.unknown[i];
    } else if (is_short && word.size() > 2 && word[2] >= '0' && word[2] <= '9') {  // -N4
      flag.name = word.substr(0, 2);
      flag.value = word.substr(2);
    } else if (i + 1 < end && !command.words[i + 1].starts_with('-')) {
      ++i;
      flag.value = command.words[i];
      flag.unknown = command.unknown[i];
    }
    flags_.push_back(std::move(flag));
  }

  std::vector<RunSetting> flags_;
  std::optional<Diagnostic> fault_;
};

bool is_program(const std::string& word, std::string_view name) {
  return word == name || word.ends_with("/" + std::string(name));
}

/// The place behind the last of these programs before `end`; `end`: there is none.
std::size_t behind(const RunCommand& command, std::size_t end, std::initializer_list<std::string_view> names) {
  for (std::size_t i = end; i-- > 0;)
    for (const std::string_view name : names)
      if (is_program(command.words[i], name)) return i + 1;
  return end;
}

}  // namespace

std::size_t index_of(const RunCommand& command, std::initializer_list<std::string_view> endings) {
  for (std::size_t i = 0; i < command.words.size(); ++i)
    for (const std::string_view ending : endings)
      if (is_program(command.words[i], ending)) return i;
  return command.words.size();
}

LaunchedGpus launched_gpus(const RunCommand& command, std::size_t program, const RunCommand& batch) {
  LaunchedGpus out;
  const auto finish = [&](LauncherFlags& flags, int gpus) {
    out.gpus = gpus;
    if (gpus == 0) out.fault = flags.fault();
    return out;
  };
  // Innermost first: of srun torchrun ... the latter starts the processes that have a GPU each.
  if (const std::size_t at =
          behind(command, program, {"torchrun", "torch.distributed.run", "torch.distributed.launch"});
      at < program) {
    LauncherFlags flags(command, at, program);
    const int each = flags.number({"nproc-per-node"}), nodes = flags.number({"nnodes"});
    if (flags.fault()) return finish(flags, 0);
    if (nodes == 0 && each > 0 && behind(command, at, {"srun", "mpirun"}) < at)
      out.note = "torchrun without --nnodes is one node, whatever starts it: --gpus N where there are more";
    return finish(flags, run_product({each > 0 ? each : 1, std::max(1, nodes)}));
  }
  if (const std::size_t at = behind(command, program, {"deepspeed"}); at < program) {
    LauncherFlags flags(command, at, program);
    return finish(flags, run_product({flags.number({"num-gpus"}), std::max(1, flags.number({"num-nodes"}))}));
  }
  if (const std::size_t at = behind(command, program, {"accelerate"}); at < program) {
    LauncherFlags flags(command, at, program);
    return finish(flags, flags.number({"num-processes"}));
  }
  if (const std::size_t at = behind(command, program, {"mpirun", "mpiexec", "mpiexec.hydra"}); at < program) {
    LauncherFlags flags(command, at, program);
    return finish(flags, flags.number({"np", "-n"}));
  }
  const std::size_t srun = behind(command, program, {"srun"});
  LauncherFlags own(command, srun < program ? srun : 0, program), of_batch(batch, 0, srun < program ? batch.size() : 0);
  const auto number = [&](std::initializer_list<std::string_view> names) {
    const int value = own.number(names);
    return value > 0 ? value : of_batch.number(names);
  };
  if (const int tasks = number({"-n", "ntasks"}); tasks > 0) return finish(own, tasks);
  const int nodes = std::max(1, number({"-N", "nodes", "nnodes", "num-nodes"}));
  if (own.fault()) return finish(own, 0);
  if (const int tasks = number({"ntasks-per-node", "nproc-per-node"}); tasks > 0)
    return finish(own, run_product({tasks, nodes}));
  if (const int gpus = number({"-G", "gpus"}); gpus > 0) return finish(own, gpus);
  return finish(own, run_product({number({"gpus-per-node", "gres", "num-gpus"}), nodes}));
}

namespace {

/// Commands that name a program, or show its flags, and do not start it.
bool starts_nothing(const RunCommand& command) {
  constexpr std::string_view kPlain[] = {"echo",  "printf", "[",    "[[",   "test", "cat", "ls",   "cp",     "mv",
                                         "rm",    "mkdir",  "sed",  "grep", "awk",  "tee", "set",  "cd",     "touch",
                                         "chmod", "wget",   "curl", "tar",  "git",  "pip", "pip3", "source", "."};
  return !command.words.empty() && std::ranges::find(kPlain, command.words.front()) != std::end(kPlain);
}

}  // namespace

std::string launched_program(const RunCommand& command) {
  if (starts_nothing(command)) return "";
  const auto next = [&](std::size_t at) { return at + 1 < command.size() ? command.words[at + 1] : std::string(); };
  for (const std::string_view engine : {"vllm", "sglang"})
    if (const std::size_t at = index_of(command, {engine}); next(at) == "serve")
      return fmt::format("{} serve {}", engine, at + 2 < command.size() ? command.words[at + 2] : "");
  for (const std::string_view name :
       {"vllm.entrypoints.openai.api_server", "trtllm-serve", "sglang.launch_server", "torchtitan.train",
        "pretrain_gpt.py", "pretrain_mamba.py", "pretrain_t5.py", "pretrain_bert.py", "train_gpt.py"})
    if (const std::size_t at = index_of(command, {name}); at < command.size()) return std::string(name);
  // Of torchtitan and Megatron-LM: by their flags, "--training.seq_len" and "--num-layers".
  const bool titan = index_of(command, {"train.py"}) < command.size();
  const auto theirs = [&](const std::string& word) {
    const std::string name = word.starts_with("--") ? run_setting_name(word.substr(0, word.find('='))) : "";
    return name == "num-layers" || (titan && name.find('.') != std::string::npos);
  };
  const bool any = std::ranges::any_of(command.words, theirs);
  return any ? command.words.front() : "";
}

namespace {

/// Without what differs between the nodes of one run.
std::vector<std::string> words_of_any_node(const RunCommand& command) {
  std::vector<std::string> out;
  for (std::size_t i = 0; i < command.size(); ++i) {
    const std::string name = run_setting_name(command.words[i].substr(0, command.words[i].find('=')));
    if (name == "node-rank" || name == "machine-rank" || name == "data-parallel-start-rank" || name == "headless") {
      const bool apart = command.words[i].find('=') == std::string::npos && name != "headless";
      i += apart ? 1 : 0;
      continue;
    }
    out.push_back(command.words[i]);
  }
  return out;
}

/// vLLM's image starts `vllm serve` by itself: what stands behind its name are that command's arguments. With
/// --entrypoint they are another program's.
RunCommand out_of_container(const RunCommand& command) {
  const auto is_image = [](const std::string& word) {
    const std::size_t name = word.rfind('/') == std::string::npos ? 0 : word.rfind('/') + 1;
    return word.compare(name, 11, "vllm-openai") == 0 && !word.starts_with('-');
  };
  const std::size_t run = index_of(command, {"docker", "podman", "nerdctl"});
  const auto image = std::ranges::find_if(command.words, is_image);
  const auto at = static_cast<std::size_t>(image - command.words.begin());
  if (run >= at || image == command.words.end() || !launched_program(command).empty()) return command;
  RunCommand out;
  for (std::size_t i = run; i < at && out.words.empty(); ++i) {
    const std::string& word = command.words[i];
    if (word.starts_with("--entrypoint="))
      out.add(word.substr(13), command.places[i]);
    else if (word == "--entrypoint")
      out.add(command.words[i + 1], command.places[i + 1]);
  }
  if (out.words.empty()) {
    out.add("vllm", command.places[at]);
    out.add("serve", command.places[at]);
  }
  for (std::size_t i = at + 1; i < command.size(); ++i)
    out.add(command.words[i], command.places[i], command.unknown[i]);
  return out;
}

}  // namespace

RunCommand launch_command(const ShellScript& script, const std::string& file) {
  std::vector<RunCommand> commands;
  for (const RunCommand& command : script.commands) commands.push_back(out_of_container(command));
  std::vector<const RunCommand*> found;
  for (const RunCommand& command : commands) {
    if (launched_program(command).empty()) continue;
    const auto same = [&](const RunCommand* other) { return words_of_any_node(*other) == words_of_any_node(command); };
    if (std::ranges::none_of(found, same)) found.push_back(&command);
  }
  if (found.size() == 1) return *found.front();
  if (found.empty()) {
    const bool any = !script.commands.empty();
    throw InputError(Diagnostic{
        .file = file,
        .line = 1,
        .column = 1,
        .found = any ? quoted(script.commands.front().words.front()) + " and what follows" : "nothing",
        .expected =
            "a command of Megatron-LM (pretrain_gpt.py), torchtitan, vllm serve, sglang.launch_server or "
            "trtllm-serve; YAML of NeMo, Megatron-Bridge or TensorRT-LLM, TOML of torchtitan, JSON of DeepSpeed"});
  }
  constexpr std::size_t kMostNamed = 4;
  std::string names;
  for (std::size_t i = 0; i < std::min(found.size(), kMostNamed); ++i)
    names +=
        fmt::format("{}{} in line {}", i == 0 ? "" : ", ", launched_program(*found[i]), found[i]->places.front().line);
  if (found.size() > kMostNamed) names += ", ...";
  const Place& place = found[1]->places.front();
  throw InputError(Diagnostic{.file = place.file,
                              .line = place.line,
                              .column = place.column,
                              .found = fmt::format("{} commands: {}", found.size(), names),
                              .expected = "one of them: a scenario is one run; leave the others out"});
}

}  // namespace flopcast
