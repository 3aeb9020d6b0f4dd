// Does `flopcast calibrate` read a folder, say what is missing, and write the same bytes twice?
#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

#include <fmt/format.h>

#include "analysis/evidence/calibrate/calibrate.h"
#include "analysis/evidence/calibrate/card_measurements.h"
#include "analysis/evidence/calibrate/shipped_tables.h"
#include "hwmodels/kernels/kernels.h"
#include "scenarios/read/calibrations/calibration_file.h"
#include "tests/catch.h"
#include "tests/libraries.h"
#include "tests/temporary.h"

namespace flopcast {
namespace {

namespace fs = std::filesystem;

/// A folder with one small table.
class SmallFolder {
 public:
  SmallFolder() {
    std::string table = "m,k,n,latency_us,mfu\n";
    for (int m = 16; m <= 8192; m *= 2)
      for (int n = 1024; n <= 8192; n *= 2)
        table += fmt::format("{},4096,{},{},0\n", m, n, 6 + m * n * 4096.0 * 2 / 1.2e9);
    folder_.write("data/kernels/infersim/bench_data/gemm/h800/data.csv", table);
  }
  fs::path root() const { return folder_.path(); }

 private:
  test::TemporaryFolder folder_;
};

std::string contents(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

}  // namespace

TEST_CASE("calibrate names every table that is missing") {
  const SmallFolder folder;
  try {
    calibrate({folder.root(), "", 1, false}, test::libraries());
    FAIL("accepted an incomplete folder");
  } catch (const InputError& error) {
    CHECK(error.diagnostics().size() > 20);
    CHECK(to_string(error.diagnostics().front()).find("no such file") != std::string::npos);
  }
}

TEST_CASE("calibrate on a small folder writes the same bytes twice") {
  const SmallFolder folder;
  const fs::path once = folder.root() / "once", twice = folder.root() / "twice";
  const std::string said = calibrate({folder.root(), once, 1, true}, test::libraries());
  calibrate({folder.root(), twice, 1, true}, test::libraries());
  CHECK(said.find("gemm_fp8_blocks") != std::string::npos);
  const std::string text = contents(once / "kernel_calibration.textproto");
  REQUIRE(!text.empty());
  CHECK(text == contents(twice / "kernel_calibration.textproto"));
}

TEST_CASE("a user alone adds his rows to what is shipped") {
  const test::TemporaryFolder folder;
  const KernelCalibration shipped =
      read_kernel_calibration(flopcast::testing::source_dir() + "/" + kKernelCalibrationFile);
  const auto us = [](const KernelCalibration& by, const char* gpu, std::int64_t m, std::int64_t n = 4096) {
    const KernelModel model(test::libraries().gpu(gpu), std::make_shared<const KernelCalibration>(by));
    return model.gemm({GemmKind::dense, m, n, 4096}).time.value() * 1e6;
  };
  // A card whose products take a fifth longer than the shipped fit says, and a die without a fit of its own.
  std::string rows = "op,shape,time_us,bytes,method,state\n", others = rows;
  for (std::int64_t m = 64; m <= 8192; m *= 2)
    for (std::int64_t n = 2048; n <= 8192; n *= 2) {
      rows += fmt::format("gemm_fwd,M={} N={} K=4096,{:.2f},0,graph20,full_clock\n", m, n,
                          1.2 * us(shipped, "h100-sxm", m, n));
      others += fmt::format("gemm_fwd,M={} N={} K=4096,{:.2f},0,graph20,full_clock\n", m, n,
                            1.3 * us(shipped, "rtx-4090", m, n));
    }
  const fs::path out = fs::path(folder.path()) / "mine/hwmodels/data";
  const std::string said = calibrate(
      {"", out, 1, false, {{"h100-sxm", folder.write("a.csv", rows)}, {"rtx-4090", folder.write("b.csv", others)}}},
      test::libraries());
  CHECK(said.find("first fit of this die") != std::string::npos);
  CHECK(!fs::exists(out / "link_calibration.textproto"));
  const KernelCalibration own = read_kernel_calibration((out / "kernel_calibration.textproto").string());
  for (const std::int64_t m : {128, 1000, 4096}) {
    CHECK(us(own, "h100-sxm", m) == Approx(1.2 * us(shipped, "h100-sxm", m)).epsilon(0.05));
    CHECK(us(own, "rtx-4090", m) == Approx(1.3 * us(shipped, "rtx-4090", m)).epsilon(0.1));
  }
  // Everything else stands: other families and dies to the byte, and prices far from the rows.
  CHECK(us(own, "b200-sxm", 1024) == us(shipped, "b200-sxm", 1024));
  CHECK(own.fits.size() == shipped.fits.size() + 1);
  CHECK(own.memory_classes.size() == shipped.memory_classes.size());
  // Nothing that a fit could take is refused, and nothing written.
  const std::string few = "op,shape,time_us,bytes,method,state\ngemm_fwd,M=64 N=64 K=64,5,0,graph9,full_clock\n";
  const fs::path nowhere = fs::path(folder.path()) / "nowhere";
  CHECK_THROWS_AS(calibrate({"", nowhere, 1, false, {{"rtx-4090", folder.write("few.csv", few)}}}, test::libraries()),
                  InputError);
  CHECK(!fs::exists(nowhere));
}

TEST_CASE("shipped fits of dies whose tables are shipped are what calibrate gives", "[slow]") {
  CalibrationInput input;
  std::vector<GpuSpec> gpus;
  for (const std::string& name : test::libraries().names(LibraryKind::gpus))
    if (test::libraries().runs(name)) gpus.push_back(test::libraries().gpu(name));
  add_shipped_tables(input, test::libraries(), gpus, false);
  input.seed = CalibrateOptions{}.seed;
  const KernelCalibration fresh = calibrate_kernels(input);
  const KernelCalibration shipped =
      read_kernel_calibration(flopcast::testing::source_dir() + "/" + kKernelCalibrationFile);
  int compared = 0;
  for (const FamilyFit& fit : shipped.fits) {
    if (fit.die.name != "GA100" && fit.die.name != "GB100") continue;
    const auto same = std::find_if(fresh.fits.begin(), fresh.fits.end(), [&](const FamilyFit& other) {
      return other.family == fit.family && other.die.name == fit.die.name && other.variant == fit.variant;
    });
    INFO(std::string(name(fit.family)) << " of " << fit.die.name);
    REQUIRE(same != fresh.fits.end());
    const std::vector<double> ours = values_of(same->parameters), theirs = values_of(fit.parameters);
    for (std::size_t i = 0; i < ours.size(); ++i) CHECK(ours[i] == Approx(theirs[i]).epsilon(1e-3));
    ++compared;
  }
  CHECK(compared > 20);
}

/// FLOPCAST_MEASUREMENTS names the folder of all tables, which are not part of the project.
TEST_CASE("shipped constants are what calibrate gives, where all tables are at hand", "[slow]") {
  const char* const measurements = std::getenv("FLOPCAST_MEASUREMENTS");
  if (measurements == nullptr) return;
  const test::TemporaryFolder folder;
  CalibrateOptions options;
  options.measurements = measurements;
  options.output = folder.path();
  calibrate(options, test::libraries());
  const std::string root = flopcast::testing::source_dir() + "/";
  for (const char* const file : {kKernelCalibrationFile, kLinkCalibrationFile}) {
    INFO(file);
    CHECK(contents(fs::path(folder.path()) / fs::path(file).filename()) == contents(root + file));
  }
}

TEST_CASE("a card's rows that cannot be are refused with their lines, and nothing is written") {
  const SmallFolder folder;
  const fs::path out = folder.root() / "out", card = folder.root() / "card.csv";
  std::ofstream(card) << "op,shape,time_us,bytes,method,state\n"
                         "# a remark\n"
                         "gemm_fwd,M=4096 N=4096 K=4096,-3,0,graph,full_clock\n"
                         "gemm_fwd,M=4096 N=4096 K=8192,0,0,graph,full_clock\n"
                         "gemm_fwd,M=4096 N=oops K=4096,30,0,graph,full_clock\n"
                         "gemm_fwd,M=4096 N=0 K=4096,nan,0,graph,full_clock\n"
                         "other,M=x,-3,0,graph,full_clock\n"
                         "gemm_fwd,M=4096 N=4096 K=4096,-3,0,graph,throttled\n";
  try {
    calibrate({folder.root(), out, 1, true, {{"h800-sxm", card}}}, test::libraries());
    FAIL("accepted times that cannot be");
  } catch (const InputError& error) {
    std::vector<std::string> places;
    for (const Diagnostic& fault : error.diagnostics())
      places.push_back(std::to_string(fault.line) + (fault.field.empty() ? "" : " " + fault.field));
    CHECK(places == std::vector<std::string>{"3 time_us", "4 time_us", "5 shape", "6", "6 shape"});
    CHECK(error.diagnostics().front().file == card.string());
  }
  CHECK_FALSE(fs::exists(out));
}

TEST_CASE("times that no such card can have taken are refused, with their lines and the unit that is likely") {
  const SmallFolder folder;
  const auto refused = [&](const char* time) {
    const fs::path card = folder.root() / "card.csv", out = folder.root() / "out";
    std::ofstream(card) << "op,shape,time_us,bytes,method,state\ngemm_fwd,M=4096 N=4096 K=8192," << time
                        << ",0,graph,full_clock\n";
    std::string said;
    try {
      calibrate({folder.root(), out, 1, true, {{"h800-sxm", card}}}, test::libraries());
    } catch (const InputError& error) {
      const Diagnostic& fault = error.diagnostics().front();
      said = std::to_string(fault.line) + " " + fault.field + " " + fault.remedy;
    }
    CHECK_FALSE(fs::exists(out));
    return said;
  };
  // 275 GFLOP: 278 us at the peak.
  CHECK(refused("0.35").find("2 time_us times in microseconds, should these be milliseconds") == 0);
  CHECK(refused("20").find("2 time_us") == 0);
  CHECK(refused("350000").find("2 time_us times in microseconds, should these be nanoseconds") == 0);
}

TEST_CASE("rows that hide behind the time of an event pair are left out, with a word") {
  const auto read = [](const char* time) {
    const std::string row = std::string("gemm_fwd,M=64 N=64 K=64,") + time + ",0,event,full_clock\n";
    return read_card(parse_csv("op,shape,time_us,bytes,method,state\n" + row, "card.csv"), "h100-sxm", "own");
  };
  CHECK(read("1.0").kernels.empty());
  CHECK(read("2.5").kernels.empty());
  REQUIRE(read("2.5").notes.size() == 1);
  CHECK(read("2.5").notes[0].find("card.csv: 1 rows") != std::string::npos);
  REQUIRE(read("5.3").kernels.size() == 1);
  CHECK(std::abs(read("5.3").kernels[0].microseconds - 4) < 1e-9);
  CHECK(read("5.3").notes.empty());
}

TEST_CASE("the shipped calibration files are read and written byte for byte") {
  const std::string root = flopcast::testing::source_dir() + "/";
  const std::string kernels = contents(root + kKernelCalibrationFile), links = contents(root + kLinkCalibrationFile);
  CHECK(to_text(parse_kernel_calibration(kernels, "kernels")) == kernels);
  CHECK(to_text(parse_link_calibration(links, "links")) == links);
  // The program has its own file as a message and need not read it: a copy that differs is read, and says the same.
  CHECK(to_text(parse_kernel_calibration("# a copy\n" + kernels, "kernels")) == kernels);
}

TEST_CASE("a damaged calibration file is refused with the place of the fault") {
  std::string text = contents(flopcast::testing::source_dir() + "/" + kKernelCalibrationFile);
  const std::size_t at = text.find("gemm_bf16\" die");
  REQUIRE(at != std::string::npos);
  text.replace(at, 9, "gemm_bf61");
  try {
    parse_kernel_calibration(text, "kernels.textproto");
    FAIL("accepted an unknown family");
  } catch (const InputError& error) {
    CHECK(error.diagnostics().front().line > 0);
    CHECK(error.diagnostics().front().suggestion == "gemm_bf16");
  }
}

}  // namespace flopcast
