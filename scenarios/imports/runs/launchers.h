// torchrun, srun and their like: what stands before a program. Internal to scenarios/imports/runs.
#pragma once
#include <string>

#include "scenarios/imports/runs/foreign_settings.h"

namespace flopcast {

/// How many GPUs a launcher gives a program; 0: it does not say. `fault`: why it cannot be said, where it tries to.
struct LaunchedGpus {
  int gpus = 0;
  std::optional<Diagnostic> fault;
  std::string note;
};

/// @param program the program's place among the words. @param batch what #SBATCH says, for srun.
LaunchedGpus launched_gpus(const RunCommand& command, std::size_t program, const RunCommand& batch);

/// The words that start something that can be read here, such as "vllm serve"; "" where nothing does.
std::string launched_program(const RunCommand& command);

/// The one command of a script that starts something; commands of several nodes that differ in their node alone count
/// as one. @throws InputError where several do, naming them, or none.
RunCommand launch_command(const ShellScript& script, const std::string& file);

std::size_t index_of(const RunCommand& command, std::initializer_list<std::string_view> endings);

}  // namespace flopcast
