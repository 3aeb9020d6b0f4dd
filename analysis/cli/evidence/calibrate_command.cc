// `flopcast calibrate`: refits kernels and links on measurements.
#include <fmt/format.h>

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "analysis/cli/line/command.h"
#include "analysis/cli/line/output.h"
#include "analysis/cli/terminal/standard_streams.h"
#include "analysis/evidence/calibrate/calibrate.h"
#include "analysis/evidence/calibrate/calibrate_server.h"
#include "scenarios/read/calibrations/calibration_file.h"
#include "scenarios/read/text/text_file.h"
#include "sim/base/diagnostic.h"

namespace flopcast {
namespace {

struct CalibrateArguments {
  CalibrateOptions options;
  std::vector<std::string> library_folders;
  std::vector<std::string> cards;  // GPU=FILE
  std::vector<std::string> serving;
  std::string scenario;
  std::string profile;
  bool force = false;
};

/// The folder that the program reads its calibration from, so that the next run uses the new one.
std::filesystem::path default_output(const Libraries& libraries) {
  if (const auto file = libraries.find_file(kKernelCalibrationFile)) return std::filesystem::path(*file).parent_path();
  return std::filesystem::path(libraries.roots().front()) / "hwmodels/data";
}

/// Options of the other task, which would be passed over.
void check_task(const CalibrateArguments& arguments) {
  const bool server = !arguments.serving.empty();
  std::vector<Diagnostic> faults;
  const auto only = [&](bool given, const char* option, bool of_server) {
    if (given && of_server != server)
      faults.push_back(option_fault(option, server ? "it beside --serving" : "it without --serving",
                                    server ? "a call of its own for kernels and links" : "--serving FILE"));
  };
  only(!arguments.options.measurements.empty(), "--measurements", false);
  only(!arguments.cards.empty(), "--add", false);
  only(!arguments.options.output.empty(), "--output", false);
  only(arguments.options.seed != CalibrateOptions{}.seed, "--seed", false);
  only(arguments.options.allow_missing, "--allow-missing", false);
  only(!arguments.scenario.empty(), "--scenario", true);
  only(!arguments.profile.empty(), "--profile", true);
  only(arguments.force, "--force", true);
  if (server && arguments.scenario.empty())
    faults.push_back(option_fault("--scenario", "nothing", "the deployment that was measured"));
  if (!faults.empty()) throw InputError(std::move(faults));
}

/// @throws InputError with all that is wrong with cards and folders.
void read_cards(CalibrateArguments& arguments, const Libraries& libraries) {
  std::vector<Diagnostic> faults;
  const std::string& folder = arguments.options.measurements;
  if (!folder.empty() && !std::filesystem::is_directory(folder))
    faults.push_back(option_fault("--measurements", folder + ", which is no folder",
                                  "a folder with reference/*.csv and data/kernels/*/*.csv"));
  const std::vector<std::string> gpus = libraries.names(LibraryKind::gpus);
  for (const std::string& card : arguments.cards) {
    const std::size_t equals = card.find('=');
    if (equals == std::string::npos) {
      faults.push_back(option_fault("--add", card, "GPU=FILE, such as h200-sxm=kernels_raw.csv"));
      continue;
    }
    const std::string gpu = card.substr(0, equals);
    if (!libraries.find(LibraryKind::gpus, gpu)) {
      faults.push_back(option_fault("--add", quoted(gpu), "a GPU of `flopcast list gpus`"));
      faults.back().suggestion = nearest_name(gpu, gpus);
    }
    arguments.options.cards.push_back({gpu, card.substr(equals + 1)});
  }
  if (arguments.options.output.empty() && folder.empty())
    faults.push_back(
        option_fault("--output", "nothing",
                     "a folder of a library of yours, such as mine/hwmodels/data: --library mine then takes "
                     "it in place of the shipped calibration"));
  if (!faults.empty()) throw InputError(std::move(faults));
}

/// @throws InputError with the faults of all files.
std::vector<ServerMeasurement> read_loads(const std::vector<std::string>& files) {
  std::vector<ServerMeasurement> loads;
  std::vector<Diagnostic> faults;
  for (const std::string& file : files) {
    try {
      for (const ServerMeasurement& load : read_server_measurements(read_text_file(file), file)) loads.push_back(load);
    } catch (const InputError& error) {
      faults.insert(faults.end(), error.diagnostics().begin(), error.diagnostics().end());
    }
  }
  if (!faults.empty()) throw InputError(std::move(faults));
  return loads;
}

void calibrate_server(const CalibrateArguments& arguments) {
  const OutputOption output{.option = "--profile", .path = arguments.profile, .takes_stdout = false};
  check_outputs({&output, 1});
  const ResolvedScenario scenario = resolve(arguments.scenario, load_environment(arguments.library_folders));
  const std::vector<ServerMeasurement> loads = read_loads(arguments.serving);
  const std::string what = std::filesystem::path(arguments.serving.front()).filename().string();
  const ServerFit fit = fit_server(loads, scenario.value(), what);
  show(fit.summary);
  for (const std::string& warning : fit.warnings) tell("warning: " + warning);
  if (fit.worse) {
    const std::string said =
        "loads are off by half or more, or those kept back further than with the engine's own times";
    if (!arguments.profile.empty() && !arguments.force)
      throw InputError(Diagnostic{"", 0, 0, "--profile", said, "a profile that is better than its engine's", "",
                                  "more loads, or --force to write it all the same"});
    tell("warning: " + said);
  }
  if (!arguments.profile.empty()) write_text_in_new_folder(arguments.profile, fit.profile);
}

}  // namespace

void add_calibrate_command(Command& program) {
  program.add_command<CalibrateArguments>(
      "calibrate", "Refit kernels and links on measurements, and say how good the fit is",
      [](Command& command, CalibrateArguments& arguments) {
        CalibrateOptions& options = arguments.options;
        command.option("--measurements", options.measurements, "Folder with reference/*.csv and data/kernels/*/*.csv")
            .value_name("DIR");
        command
            .option(
                "--serving", arguments.serving,
                "Loads of a server of your own (CSV; JSON of vllm bench, GenAI-Perf, AIPerf): fits its engine's host "
                "times; once per file")
            .repeated()
            .value_name("FILE");
        command.option("--scenario", arguments.scenario, "With --serving: the deployment that was measured")
            .values(Values::scenarios)
            .value_name("FILE");
        command
            .option("--profile", arguments.profile,
                    "With --serving: the file for the engine's profile, engines/NAME.textproto of a library of yours")
            .value_name("FILE");
        command.flag("--force", arguments.force, "With --profile: write one that is worse than its engine's, too");
        command
            .option("--add", arguments.cards,
                    "Kernels of a card of your own: rows of hwmodels/calibration/measure/measure_card.py, a trace of "
                    "PyTorch's "
                    "profiler (JSON) or an export of Nsight Systems (SQLite); once per file")
            .value_name("GPU=FILE");
        command.option("--output", options.output, "Folder for the data files; default: where the program reads them")
            .value_name("DIR");
        command.option("--seed", options.seed, "Decides which fifth of each table is held back").show_default();
        command.flag("--allow-missing", options.allow_missing, "Fit on the tables that are there");
        add_library_option(command, arguments.library_folders);
      },
      [](CalibrateArguments& arguments) {
        check_task(arguments);
        if (!arguments.serving.empty()) return calibrate_server(arguments);
        if (arguments.options.measurements.empty() && arguments.cards.empty())
          throw InputError(
              Diagnostic{"", 0, 0, "--measurements", "nothing",
                         "a folder of measurements, --add GPU=FILE for a card of your own on top of what is "
                         "shipped, or --serving FILE for a server of your own",
                         ""});
        const Libraries libraries = Libraries::discover(arguments.library_folders);
        read_cards(arguments, libraries);
        if (arguments.options.output.empty()) arguments.options.output = default_output(libraries);
        show(calibrate(arguments.options, libraries));
      });
}

}  // namespace flopcast
