// Are files there whole or not at all, and is what is no file left in its place?
#include "sim/base/atomic_file.h"

#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <sstream>
#include <thread>

#include "tests/catch.h"
#include "tests/scenarios/fixture.h"

namespace flopcast {
namespace {

namespace fs = std::filesystem;

TEST_CASE("a file that is not committed leaves the old one as it was", "[sim]") {
  const test::TemporaryFolder folder;
  const fs::path path = folder.path() + "/f";
  write_file_atomically(path, "old");
  fs::permissions(path, fs::perms::owner_read | fs::perms::owner_write);
  {
    AtomicFile file(path);
    file.write("half of");
  }
  CHECK(test::contents_of(path) == "old");
  write_file_atomically(path, "new");
  CHECK(test::contents_of(path) == "new");
  CHECK(fs::status(path).permissions() == (fs::perms::owner_read | fs::perms::owner_write));
  CHECK(std::distance(fs::directory_iterator(folder.path()), fs::directory_iterator()) == 1);
}

TEST_CASE("a link stays a link, its target is replaced", "[sim]") {
  const test::TemporaryFolder folder;
  const fs::path base = folder.path();
  fs::create_directory(base / "below");
  fs::create_symlink("below/file", base / "link");  // leads nowhere yet
  for (const char* text : {"first", "second"}) {
    CHECK(write_obstacle(base / "link").empty());
    write_file_atomically(base / "link", text);
    CHECK(fs::is_symlink(base / "link"));
    CHECK(test::contents_of(base / "below/file") == text);
  }
  CHECK(same_file(base / "link", base / "below/../below/file"));
  CHECK_FALSE(same_file(base / "link", base / "below/other"));
}

TEST_CASE("a pipe is written to and stays a pipe", "[sim]") {
  const test::TemporaryFolder folder;
  const fs::path path = folder.path() + "/pipe";
  REQUIRE(::mkfifo(path.c_str(), 0600) == 0);
  CHECK(write_obstacle(path).empty());  // nobody reads yet: must not wait
  std::string read;
  std::thread reader([&] { read = test::contents_of(path); });
  write_file_atomically(path, "through the pipe");
  reader.join();
  CHECK(read == "through the pipe");
  CHECK(fs::is_fifo(path));
}

TEST_CASE("what cannot be written is found out beforehand", "[sim]") {
  const test::TemporaryFolder folder;
  CHECK_FALSE(write_obstacle(folder.path()).empty());
  CHECK_FALSE(write_obstacle(folder.path() + "/no/such/folder").empty());
  CHECK_FALSE(write_obstacle("/proc/version").empty());
  CHECK(write_obstacle(folder.path() + "/new").empty());
  CHECK_FALSE(fs::exists(folder.path() + "/new"));
}

TEST_CASE("links that go round in a circle are refused", "[sim]") {
  const test::TemporaryFolder folder;
  const fs::path base = folder.path();
  fs::create_symlink("b", base / "a");
  fs::create_symlink("a", base / "b");
  CHECK(write_obstacle(base / "a").find("symbolic links") != std::string::npos);
  CHECK_THROWS_AS(write_file_atomically(base / "a", "text"), std::runtime_error);
  CHECK(fs::is_symlink(base / "a"));
  CHECK(fs::is_symlink(base / "b"));
}

TEST_CASE("what a killed process left of a file goes with the next that is written there", "[sim]") {
  const test::TemporaryFolder folder;
  const fs::path base = folder.path();
  const pid_t ended = ::fork();
  if (ended == 0) ::_exit(0);
  ::waitpid(ended, nullptr, 0);
  const auto left = [&](const std::string& name, pid_t pid) {
    const fs::path path = base / ("." + name + ".flopcast-" + std::to_string(pid) + "-0");
    std::ofstream(path) << "half";
    return path;
  };
  const fs::path dead = left("f", ended), alive = left("f", ::getppid()), other = left("g", ended);
  write_file_atomically(base / "f", "whole");
  CHECK_FALSE(fs::exists(dead));
  CHECK(fs::exists(alive));
  CHECK(fs::exists(other));
  CHECK(test::contents_of(base / "f") == "whole");
}

TEST_CASE("a folder that is yet to be made can be written to when its parent can", "[sim]") {
  const test::TemporaryFolder folder;
  CHECK(write_obstacle_in_new_folder(folder.path() + "/a/b/c").empty());
  CHECK(write_obstacle_in_new_folder(folder.path() + "/a").empty());
  CHECK_FALSE(write_obstacle_in_new_folder("/proc/version/a/b").empty());
  CHECK(std::distance(fs::directory_iterator(folder.path()), fs::directory_iterator()) == 0);
}

}  // namespace
}  // namespace flopcast
