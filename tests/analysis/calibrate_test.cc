// Does `flopcast calibrate` read a folder, say what is missing, and write the same bytes twice?
#include <cmath>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

#include <fmt/format.h>

#include "analysis/evidence/calibrate/calibrate.h"
#include "analysis/evidence/calibrate/card_measurements.h"
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
