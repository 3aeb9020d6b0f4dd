// What starts a deployment, as commands for a shell and as a manifest for Kubernetes.
#include <algorithm>
#include <cctype>

#include <fmt/format.h>

#include "analysis/render/text/format.h"
#include "analysis/runs/serving/exchange/launch_command.h"
#include "sim/base/diagnostic.h"

namespace flopcast {
namespace {

/// A name that Kubernetes takes: lower case letters, digits and hyphens.
std::string plain_name(std::string name) {
  for (char& c : name) c = std::isalnum(static_cast<unsigned char>(c)) ? static_cast<char>(std::tolower(c)) : '-';
  name.resize(std::min<std::size_t>(name.size(), 40));
  while (!name.empty() && name.back() == '-') name.pop_back();
  return name;
}

constexpr std::string_view kOptions = "--extra_llm_api_options", kMountedOptions = "/options.yaml";

/// @param options where the file of options lies: containers start in folders of their own.
std::string on_one_line(const LaunchCommand& command, std::string_view options) {
  std::string line = command.before.empty() ? command.program : command.before + "; " + command.program;
  for (const LaunchFlag& flag : command.flags)
    line += flag.text.starts_with(kOptions) ? fmt::format(" {} {}", kOptions, options) : " " + flag.text;
  return line;
}

/// What a LeaderWorkerSet says of a pod's place, under the names that the command takes.
std::string in_its_group(const LaunchCommand& command) {
  if (command.nodes == 1) return "";
  return "export NODE_RANK=\"$LWS_WORKER_INDEX\" HEAD_ADDRESS=\"$LWS_LEADER_ADDRESS\"; ";
}

/// Comments: what each flag comes from.
std::string fields_of(const LaunchCommand& command) {
  std::size_t width = command.program.size();
  for (const LaunchFlag& flag : command.flags) width = std::max(width, flag.text.size() + 2);
  width = std::min<std::size_t>(width, 72);
  std::string out;
  for (const LaunchFlag& flag : command.flags)
    if (!flag.field.empty()) out += fmt::format("#   {:<{}}  {}\n", flag.text, width, flag.field);
  return out;
}

/// Comments: what of the deployment it does not carry.
std::string untold(const LaunchCommand& command) {
  std::string out;
  constexpr std::size_t kColumns = 92;
  for (const std::string& line : command.untold)
    out += "#   " + wrap("not in the command: " + line, kColumns, "#     ") + "\n";
  return out;
}

/// Variables of a container.
std::string variables_of(const LaunchCommand& command) {
  std::string out;
  for (const auto& [name, value] : command.environment)
    out += value == kOwnAddress
               ? fmt::format("  - {{ name: {}, valueFrom: {{ fieldRef: {{ fieldPath: status.podIP }} }} }}\n", name)
               : fmt::format("  - {{ name: {}, value: \"{}\" }}\n", name, value);
  return out.empty() ? out : "  env:\n" + out;
}

/// The text as a YAML block, indented.
std::string indented(const std::string& text, int spaces) {
  std::string out;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    out += std::string(static_cast<std::size_t>(spaces), ' ') + text.substr(at, end - at) + "\n";
    at = end + 1;
  }
  return out;
}

}  // namespace

std::string to_text(const std::vector<LaunchCommand>& commands) {
  std::string out;
  for (const LaunchCommand& command : commands) {
    out += fmt::format("# {}: {} x {} GPUs{}\n", command.pool, command.replicas, command.gpus,
                       command.nodes > 1 ? fmt::format(", each on {} nodes", command.nodes) : "");
    if (!command.options_file.empty()) out += "# options.yaml\n" + indented(command.options_file, 2);
    if (command.nodes > 1)
      out += command.by_mpi
                 ? fmt::format("# hosts: a line for each of the {} nodes\n", command.nodes)
                 : fmt::format("# on each node, with NODE_RANK 0 to {} and HEAD_ADDRESS, the address of node 0\n",
                               command.nodes - 1);
    if (!command.before.empty()) out += command.before + "\n";
    for (const auto& [name, value] : command.environment) {
      if (value == kOwnAddress) out += "# with OWN_ADDRESS, the address of this machine that the others reach\n";
      out += fmt::format("export {}={}\n", name, value == kOwnAddress ? fmt::format("\"{}\"", value) : value);
    }
    out += command.program + " \\\n";
    // A comment behind a continued line would end the command: fields stand in a list below it.
    for (std::size_t i = 0; i < command.flags.size(); ++i)
      out += fmt::format("  {}{}\n", command.flags[i].text, i + 1 < command.flags.size() ? " \\" : "");
    out += fields_of(command);
    out += untold(command);
    out += "\n";
  }
  return out;
}

std::string kubernetes_manifest(const std::vector<LaunchCommand>& commands, const std::string& name) {
  for (const LaunchCommand& command : commands)
    if (command.by_mpi)
      throw InputError(Diagnostic{"", 0, 0, "--kubernetes",
                                  fmt::format("replicas of {} nodes of TensorRT-LLM ({})", command.nodes, command.pool),
                                  "replicas of one node: over nodes TensorRT-LLM starts by MPI, for which a manifest "
                                  "needs an MPI operator; the command without --kubernetes starts it",
                                  ""});
  std::string out;
  for (const LaunchCommand& command : commands) {
    const std::string app = plain_name(fmt::format("{}-{}", name, command.pool));
    if (!command.options_file.empty())
      out += fmt::format("apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {}\ndata:\n  options.yaml: |\n{}---\n",
                         app, indented(command.options_file, 4));
    out += fmt::format("# {}: what its flags come from\n{}{}", command.pool, fields_of(command), untold(command));
    const int gpus = command.gpus / command.nodes;
    std::string container = fmt::format(
        "containers:\n- name: engine\n  image: {}\n  command: [\"/bin/sh\", \"-c\"]\n  args:\n  - >-\n    {}\n"
        "{}  ports:\n  - containerPort: {}\n  resources:\n    limits:\n      nvidia.com/gpu: {}\n"
        "  volumeMounts:\n  - {{ name: shm, mountPath: /dev/shm }}\n",
        command.image, in_its_group(command) + on_one_line(command, kMountedOptions), variables_of(command),
        kServerPort, gpus);
    if (!command.options_file.empty())
      container += fmt::format("  - {{ name: options, mountPath: {}, subPath: options.yaml }}\n", kMountedOptions);
    container += "volumes:\n- { name: shm, emptyDir: { medium: Memory } }\n";
    if (!command.options_file.empty())
      container += fmt::format("- {{ name: options, configMap: {{ name: {} }} }}\n", app);
    if (command.nodes > 1) {
      out += fmt::format(
          "apiVersion: leaderworkerset.x-k8s.io/v1\nkind: LeaderWorkerSet\nmetadata:\n  name: {}\nspec:\n"
          "  replicas: {}\n  leaderWorkerTemplate:\n    size: {}\n    workerTemplate:\n      metadata:\n"
          "        labels: {{ app: {} }}\n      spec:\n{}---\n",
          app, command.replicas, command.nodes, app, indented(container, 8));
    } else {
      out += fmt::format(
          "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: {0}\nspec:\n  replicas: {1}\n"
          "  selector: {{ matchLabels: {{ app: {0} }} }}\n  template:\n    metadata: {{ labels: {{ app: {0} }} }}\n"
          "    spec:\n{2}---\n",
          app, command.replicas, indented(container, 6));
    }
    // Of several nodes the first answers.
    const char* leader = command.nodes > 1 ? ", leaderworkerset.sigs.k8s.io/worker-index: \"0\"" : "";
    out += fmt::format(
        "apiVersion: v1\nkind: Service\nmetadata:\n  name: {0}\nspec:\n  selector: {{ app: {0}{2} }}\n  ports:\n"
        "  - {{ port: {1}, targetPort: {1} }}\n---\n",
        app, kServerPort, leader);
  }
  if (out.size() > 4) out.resize(out.size() - 4);
  return out;
}

}  // namespace flopcast
