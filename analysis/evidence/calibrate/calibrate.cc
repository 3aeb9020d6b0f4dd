#include "analysis/evidence/calibrate/calibrate.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "analysis/evidence/calibrate/calibrate_serving.h"
#include "analysis/evidence/calibrate/calibrate_tables.h"
#include "analysis/evidence/calibrate/card_measurements.h"
#include "analysis/evidence/calibrate/fit_overheads.h"
#include "analysis/evidence/calibrate/profile_rows.h"
#include "analysis/evidence/calibrate/shipped_tables.h"
#include "analysis/render/text/csv.h"
#include "analysis/render/text/format.h"
#include "analysis/render/text/text_table.h"
#include "hwmodels/calibration/add_rows.h"
#include "hwmodels/calibration/contradictions.h"
#include "scenarios/read/calibrations/calibration_file.h"
#include "scenarios/read/calibrations/engine_calibration.h"
#include "scenarios/read/libraries/data_file.h"
#include "scenarios/read/text/text_file.h"
#include "sim/base/atomic_file.h"
#include "sim/base/diagnostic.h"
#include "workloads/collectives/link_fit.h"

namespace flopcast {
namespace {

namespace fs = std::filesystem;

std::string percent(double ratio) { return fmt::format("{:.1f} %", 100 * ratio); }

std::vector<GpuSpec> all_gpus(const Libraries& libraries) {
  std::vector<GpuSpec> gpus;
  for (const std::string& name : libraries.names(LibraryKind::gpus))
    if (libraries.runs(name)) gpus.push_back(libraries.gpu(name));
  return gpus;
}

/// The newest date among the sources: the data files carry no clock's time, so that the same input gives the
/// same bytes.
std::string newest_date(const CalibrationInput& input) {
  std::string date;
  for (const auto& [table, source] : input.table_sources) date = std::max(date, source.date);
  return date;
}

/// Node of every GPU that measurements of links name.
std::map<std::string, NodeSpec> nodes_by_gpu(const Libraries& libraries) {
  std::map<std::string, NodeSpec> nodes;
  for (const std::string& name : libraries.names(LibraryKind::nodes)) {
    NodeSpec node = libraries.node(name);
    const std::string gpu = node.gpu.name;
    if (node.gpus == 8) nodes.emplace(gpu, std::move(node));
  }
  return nodes;
}

/// A profile in place of a card's table: what it holds beside kernels, and what was made of it in words.
struct CardProfile {
  std::string gpu, table;
  Profile profile;
};

/// Files that a fit makes. They are written when all of it is done, whole or not at all.
class FittedFiles {
 public:
  explicit FittedFiles(fs::path folder) : folder_(std::move(folder)) {}
  void add(const char* name, std::string text) { files_.emplace_back(name, std::move(text)); }
  /// A file of that name in the folder, of an earlier fit; empty: there is none.
  std::string earlier(const char* name) const {
    return !folder_.empty() && fs::is_regular_file(folder_ / name) ? (folder_ / name).string() : "";
  }
  void write() const {
    if (folder_.empty()) return;
    fs::create_directories(folder_);
    std::vector<std::unique_ptr<AtomicFile>> open;
    for (const auto& [name, text] : files_) {
      open.push_back(std::make_unique<AtomicFile>(folder_ / name));
      open.back()->write(text);
    }
    for (const auto& file : open) file->commit();
  }

 private:
  fs::path folder_;
  std::vector<std::pair<const char*, std::string>> files_;
};

constexpr const char* kKernelFile = "kernel_calibration.textproto";
constexpr const char* kLinkFile = "link_calibration.textproto";

/// Rows that no such chip can have taken, which are times in another unit or of another card.
/// @param lines of the file; null: a profile, whose kernels have no lines
/// @throws InputError with the first of them, the others counted.
void check_possible(const CardMeasurements& rows, const GpuSpec& gpu, const CsvTable* lines, const std::string& file) {
  // Clocks go some percent over those that peaks are quoted at; what lies in L2 is read several times as fast as HBM.
  constexpr double kOverPeak = 1.2, kOverMemory = 10;
  // The slowest kernels that are fitted, skewed and small ones, stay within a fifth of this.
  constexpr double kSlowest = 100, kShortestUs = 20;
  constexpr std::size_t kShown = 5;
  std::vector<Diagnostic> faults;
  std::size_t more = 0;
  const auto refuse = [&](int line, std::string found, std::string expected, std::string remedy) {
    if (faults.size() >= kShown) {
      ++more;
      return;
    }
    faults.push_back(
        Diagnostic{file, line, 0, "time_us", std::move(found), std::move(expected), "", std::move(remedy)});
  };
  for (const Measurement& m : rows.kernels) {
    const int line = lines != nullptr ? lines->line(m.row) : 0;
    const double work = std::visit([](const auto& shape) { return flop(shape).value(); }, m.shape);
    const double bytes = std::visit([](const auto& shape) { return least_bytes(shape); }, m.shape);
    const auto* product = std::get_if<GemmShape>(&m.shape);
    const double peak = gpu.peak(product != nullptr ? product->precision : Precision::bf16).value();
    const double rate = work / (m.microseconds * 1e-6);
    const double least = 1e6 * std::max(work / peak, bytes / gpu.hbm_bandwidth.value());
    if (rate > kOverPeak * peak)
      refuse(line, fmt::format("{:.4g} us, which is {:.4g} TFLOPS", m.microseconds, rate / 1e12),
             fmt::format("at most the {:.4g} TFLOPS of {}", peak / 1e12, gpu.name),
             "times in microseconds, should these be milliseconds or of more than one chip");
    else if (m.microseconds > kSlowest * (least + kShortestUs))
      refuse(line, fmt::format("{:.4g} us", m.microseconds),
             fmt::format("hardly more than the {:.4g} us that its work takes on {}", least, gpu.name),
             "times in microseconds, should these be nanoseconds");
  }
  for (const MemoryMeasurement& m : rows.memory)
    if (const double rate = m.bytes / (m.microseconds * 1e-6); rate > kOverMemory * gpu.hbm_bandwidth.value())
      refuse(0, fmt::format("{}: {:.4g} us, which is {:.4g} TB/s", m.name, m.microseconds, rate / 1e12),
             fmt::format("near the {:.4g} TB/s of {}'s memory", gpu.hbm_bandwidth.value() / 1e12, gpu.name),
             "times in microseconds, should these be milliseconds");
  if (more > 0)
    faults.push_back(Diagnostic{file, 0, 0, "", fmt::format("{} more of these, not shown", more), "none", ""});
  if (!faults.empty()) throw InputError(std::move(faults));
}

/// The rows of a user's own card; its tables go by its file's name.
void add_card(CalibrationInput& input, const CardFile& card, const std::vector<GpuSpec>& gpus,
              std::vector<CardProfile>& profiles, std::vector<std::string>& notes) {
  const auto gpu = std::find_if(gpus.begin(), gpus.end(), [&](const GpuSpec& g) { return g.name == card.gpu; });
  if (gpu == gpus.end())
    throw InputError(Diagnostic{"", 0, 0, "--add", card.gpu, "a GPU of the library that kernels can be priced on", ""});
  const std::string file = card.file.string();
  if (is_profile(card.file)) profiles.push_back({card.gpu, card.file.stem().string(), read_profile(card.file)});
  const std::string table = is_profile(card.file) ? card_table(profiles.back().profile) : read_text_file(file);
  const CsvTable lines = parse_csv(table, file);
  CardMeasurements rows = read_card(lines, card.gpu, card.file.stem().string());
  check_possible(rows, *gpu, is_profile(card.file) ? nullptr : &lines, file);
  if (rows.kernels.empty() && (profiles.empty() || profiles.back().profile.collectives.empty()))
    throw InputError(Diagnostic{file, 0, 0, "", "no row of a kernel that is fitted, at full clock",
                                "operations of hwmodels/calibration/measure/README.md", ""});
  notes.insert(notes.end(), rows.notes.begin(), rows.notes.end());
  for (const Measurement& m : rows.kernels)
    input.table_sources[m.table] = {"measured by the user, " + card.file.filename().string(), ""};
  input.measurements.insert(input.measurements.end(), rows.kernels.begin(), rows.kernels.end());
  if (std::none_of(input.gpus.begin(), input.gpus.end(), [&](const GpuSpec& g) { return g.name == card.gpu; }))
    input.gpus.push_back(*gpu);
}

/// Collectives of profiles, those whose ranks are known to lie in one node.
void add_collectives(LinkMeasurements& measurements, std::span<const CardProfile> profiles,
                     const std::map<std::string, NodeSpec>& nodes) {
  for (const CardProfile& card : profiles) {
    const auto node = nodes.find(card.gpu);
    if (node == nodes.end()) continue;
    for (const ProfiledCollective& one : card.profile.collectives) {
      const int gpus = node->second.gpus;
      if (one.ranks.size() < 2 || static_cast<int>(one.ranks.size()) != one.group) continue;
      if (one.ranks.front() / gpus != one.ranks.back() / gpus) continue;
      NcclMeasurement row;
      row.table = card.table;
      row.gpu = card.gpu;
      row.op = one.op;
      row.gpus = one.group;
      row.bytes = one.bytes;
      row.time = Seconds(1e-6 * one.microseconds);
      measurements.nccl.push_back(std::move(row));
    }
  }
}

/// @param links what was fitted, as the file has it.
std::string calibrate_links(const CalibrateOptions& options, const Libraries& libraries,
                            std::span<const CardProfile> profiles, FittedFiles& files,
                            std::optional<LinkCalibration>& links) {
  LinkMeasurements measurements =
      read_link_measurements(options.measurements / "reference", options.measurements / "data/kernels");
  add_collectives(measurements, profiles, nodes_by_gpu(libraries));
  if (!measurements.missing.empty()) return "links: tables of collectives are missing, constants left as they are\n";
  const LinkFit fit = fit_links(measurements, nodes_by_gpu(libraries), options.seed);
  const std::string text = to_text(fit.calibration);
  links = parse_link_calibration(text, kLinkFile);
  files.add(kLinkFile, text);
  TextTable table({Align::left, Align::left, Align::right, Align::right, Align::right, Align::right});
  table.header({"links", "group", "rows", "held back", "median", "90th"});
  for (const LinkFitError& error : fit.errors)
    table.row({error.table, error.group + (error.fitted ? "" : " (not fitted)"), fmt::format("{}", error.rows),
               fmt::format("{}", error.held_back), percent(error.median), percent(error.percentile_90)});
  std::string out = table.render(TextStyle(false, 140));
  for (const std::string& note : fit.notes) out += note + "\n";
  return out;
}

/// Overheads of training steps, on the runs in the folder, with the kernels and links as they are now.
std::string calibrate_overheads(const CalibrateOptions& options, const Libraries& libraries,
                                const KernelCalibration& kernels, const LinkCalibration& links, FittedFiles& files) {
  const fs::path file = options.measurements / "reference/h100_training_calibration.csv";
  if (!fs::is_regular_file(file)) return "training runs: no table, overheads left as they are\n";
  const OverheadFit fit =
      fit_overheads(read_calibration_runs(parse_csv(read_text_file(file.string()), file.string())), libraries,
                    std::make_shared<const KernelCalibration>(kernels), std::make_shared<const LinkCalibration>(links));
  files.add("training_calibration.textproto", to_text(fit.calibration));
  TextTable table({Align::left, Align::right, Align::right, Align::right, Align::right});
  table.header({"training run", "measured", "predicted", "error", "model left out"});
  for (std::size_t i = 0; i < fit.errors.size(); ++i) {
    const RunError& row = fit.errors[i];
    table.row({row.run.id, fmt::format("{:.2f} s", row.run.step.value()),
               fmt::format("{:.2f} s", row.predicted.value()), format_error(row.error()),
               format_error(fit.left_out[i].error())});
  }
  std::string out = table.render(TextStyle(false, 100));
  for (const OverheadRow& row : overhead_rows())
    out += fmt::format("  {:<18} {:>8.4g} {:<3} {}\n", row.name, row.get(fit.calibration.overheads), row.unit,
                       row.meaning);
  return out;
}

/// The engine's constants rest on the kernels and links just fitted. Their files lie beside the workloads.
std::string calibrate_serving(const CalibrateOptions& options, const Libraries& libraries,
                              const KernelCalibration& kernels, const LinkCalibration& links, FittedFiles& files) {
  if (!fs::exists(options.measurements / "data/kernels/e2e-measured"))
    return "serving: tables of measured runs are missing, engine constants left as they are\n";
  const ServingFit fit = fit_serving(options.measurements, std::make_shared<const KernelCalibration>(kernels),
                                     std::make_shared<const LinkCalibration>(links), libraries);
  files.add("engine_calibration.textproto", to_text(fit.constants));
  files.add("serving_errors.csv", errors_csv(fit.rows));
  return fit.summary +
         "engine_calibration.textproto belongs into workloads/data/serving/, serving_errors.csv into "
         "analysis/data/\n";
}

/// A card of one's own where the tables that the shipped numbers rest on are not at hand.
std::string add_to_shipped(const CalibrateOptions& options, const Libraries& libraries, CalibrationInput input,
                           std::span<const CardProfile> profiles, std::span<const std::string> notes) {
  const KernelCalibration shipped = read_kernel_calibration(required_file(libraries, kKernelCalibrationFile));
  const AddedCalibration added = add_rows(shipped, input);
  TextTable table({Align::left, Align::left, Align::right, Align::right, Align::right, Align::right, Align::left});
  table.header({"kernels", "gpu", "fitted", "held back", "error before", "now", ""});
  for (const AddedRows& row : added.rows) {
    const char* word = row.left_out    ? "left out: too few rows for a die without a fit of its own"
                       : row.new_die   ? "first fit of this die"
                       : row.held_back ? ""
                                       : "errors of the rows fitted: too few to hold any back";
    table.row({std::string(name(row.family)), row.gpu, fmt::format("{}", row.fitted), fmt::format("{}", row.held_back),
               row.left_out ? "-" : percent(row.before), row.left_out ? "-" : percent(row.after), word});
  }
  std::string out = fmt::format(
      "{} kernel measurements of your own on top of the shipped calibration; links, power, memory-bound kernels, "
      "overheads "
      "and engines stay as they are. Median errors:\n\n",
      input.measurements.size());
  out += table.render(TextStyle(false, 150));
  if (std::all_of(added.rows.begin(), added.rows.end(), [](const AddedRows& row) { return row.left_out; }))
    throw InputError(Diagnostic{options.cards.front().file.string(), 0, 0, "--add",
                                "no row that a shipped fit could take", "kernels of the libraries that are priced",
                                ""});
  for (const std::string& note : notes) out += note + "\n";
  for (const CardProfile& card : profiles) {
    out += "\n" + profile_summary(card.profile, card.table);
    if (!card.profile.collectives.empty())
      out += "Collectives are not used: links are fitted on tables of messages of many sizes (--measurements).\n";
  }
  FittedFiles files(options.output);
  const std::string text = to_text(added.calibration);
  parse_kernel_calibration(text, kKernelFile);
  files.add(kKernelFile, text);
  files.write();
  if (!options.output.empty()) out += fmt::format("\nwritten to {}\n", options.output.string());
  return out;
}

}  // namespace

std::string held_back_summary(const KernelCalibration& calibration) {
  TextTable table(
      {Align::left, Align::left, Align::left, Align::right, Align::right, Align::right, Align::right, Align::right});
  table.header({"kernels", "gpu", "table", "fitted", "held back", "median", "90th", "bias"});
  const auto share = [](const HeldBackError& error, double value) {
    return error.held_back ? percent(value) : std::string("-");
  };
  for (const FamilyFit& fit : calibration.fits)
    for (const HeldBackError& error : fit.errors)
      table.row({std::string(name(fit.family)), error.gpu,
                 error.table + (fit.variant.empty() ? "" : fmt::format(" ({})", fit.variant)),
                 fmt::format("{}", error.fitted), fmt::format("{}", error.held_back), share(error, error.median),
                 share(error, error.percentile_90),
                 error.held_back ? fmt::format("{:+.1f} %", 100 * error.bias) : "-"});
  for (const HeldBackError& error : calibration.pooled)
    table.row({error.table, "all", "all that are priced", fmt::format("{}", error.fitted),
               fmt::format("{}", error.held_back), share(error, error.median), share(error, error.percentile_90),
               error.held_back ? fmt::format("{:+.1f} %", 100 * error.bias) : "-"});
  return table.render(TextStyle(false, 150));
}

/// Rows that contradict each other or their die, by table.
std::string contradiction_summary(const std::vector<Contradiction>& all) {
  std::string out;
  for (const Contradiction& c : all)
    out += fmt::format("  {}, {}: {} rows {}: {}{}\n", c.table, c.gpu, c.count, c.what, fmt::join(c.rows, ", "),
                       c.count > c.rows.size() ? ", ..." : "");
  return out.empty() ? "" : "\nRows that contradict others (numbered from 0 within their table)\n" + out;
}

std::string calibrate(const CalibrateOptions& options, const Libraries& libraries) {
  const std::vector<GpuSpec> gpus = all_gpus(libraries);
  const bool on_shipped = options.measurements.empty();
  CalibrationInput input;
  if (!on_shipped) {
    input = read_measurements(options.measurements, gpus, options.allow_missing);
    add_shipped_tables(input, libraries, gpus, options.allow_missing);
  }
  std::vector<CardProfile> profiles;
  std::vector<std::string> notes;
  for (const CardFile& card : options.cards) add_card(input, card, gpus, profiles, notes);
  input.seed = options.seed;
  input.date = newest_date(input);
  if (on_shipped) return add_to_shipped(options, libraries, std::move(input), profiles, notes);
  const KernelCalibration calibration = calibrate_kernels(input);
  std::string out =
      fmt::format("{} kernel measurements; a fifth of each table held back (seed {}), errors on those:\n\n",
                  input.measurements.size(), options.seed);
  out += held_back_summary(calibration) + contradiction_summary(find_contradictions(input, calibration));
  FittedFiles files(options.output);
  const std::string kernels = to_text(calibration);
  parse_kernel_calibration(kernels, kKernelFile);  // what would be refused when it is read is not written
  files.add(kKernelFile, kernels);
  for (const std::string& note : notes) out += note + "\n";
  for (const CardProfile& card : profiles) out += "\n" + profile_summary(card.profile, card.table);
  std::optional<LinkCalibration> links;
  out += "\n" + calibrate_links(options, libraries, profiles, files, links);
  if (!links) {
    const std::string earlier = files.earlier(kLinkFile);
    links = read_link_calibration(earlier.empty() ? required_file(libraries, kLinkCalibrationFile) : earlier);
  }
  out += "\n" + calibrate_overheads(options, libraries, calibration, *links, files);
  out += "\n" + calibrate_serving(options, libraries, calibration, *links, files);
  files.write();
  if (!options.output.empty()) out += fmt::format("\nwritten to {}\n", options.output.string());
  return out;
}

}  // namespace flopcast
