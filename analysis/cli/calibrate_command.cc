// `flopcast calibrate`: refits kernels and links on measurements.
#include <fmt/format.h>

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "analysis/cli/command.h"
#include "analysis/cli/standard_streams.h"
#include "analysis/evidence/calibrate.h"
#include "scenarios/read/calibration_file.h"
#include "sim/base/diagnostic.h"

namespace flopcast {
namespace {

struct CalibrateArguments {
  CalibrateOptions options;
  std::vector<std::string> library_folders;
  std::vector<std::string> cards;  // GPU=FILE
};

/// The folder that the program reads its calibration from, so that the next run uses the new one.
std::filesystem::path default_output(const Libraries& libraries) {
  if (const auto file = libraries.find_file(kKernelCalibrationFile)) return std::filesystem::path(*file).parent_path();
  return std::filesystem::path(libraries.roots().front()) / "hwmodels/data";
}

}  // namespace

void add_calibrate_command(Command& program) {
  program.add_command<CalibrateArguments>(
      "calibrate", "Refit kernels and links on measurements, and say how good the fit is",
      [](Command& command, CalibrateArguments& arguments) {
        CalibrateOptions& options = arguments.options;
        command.option("--measurements", options.measurements, "Folder with reference/*.csv and data/kernels/*/*.csv")
            .required()
            .value_name("DIR");
        command
            .option(
                "--add", arguments.cards,
                "Rows of a card of your own, measured by hwmodels/calibration/measure/measure_card.py; once per card")
            .value_name("GPU=FILE");
        command.option("--output", options.output, "Folder for the data files; default: where the program reads them")
            .value_name("DIR");
        command.option("--seed", options.seed, "Decides which fifth of each table is held back").show_default();
        command.flag("--allow-missing", options.allow_missing, "Fit on the tables that are there");
        add_library_option(command, arguments.library_folders);
      },
      [](CalibrateArguments& arguments) {
        const Libraries libraries = Libraries::discover(arguments.library_folders);
        for (const std::string& card : arguments.cards) {
          const std::size_t equals = card.find('=');
          if (equals == std::string::npos)
            throw InputError(Diagnostic{"", 0, 0, "--add", card, "GPU=FILE, such as h200-sxm=kernels_raw.csv", ""});
          arguments.options.cards.push_back({card.substr(0, equals), card.substr(equals + 1)});
        }
        if (arguments.options.output.empty()) arguments.options.output = default_output(libraries);
        show(calibrate(arguments.options, libraries));
      });
}

}  // namespace flopcast
