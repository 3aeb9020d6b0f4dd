// The local application: scenarios are picked or described in a browser, replayed by this process, and shown as the
// pages that `--html` writes. Nothing is kept outside of memory but what is saved into a folder the user named.
#pragma once
#include <atomic>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "analysis/app/http.h"
#include "analysis/app/report_page.h"
#include "flopcast/environment.h"

namespace flopcast {

/// A replay, or a comparison, that goes on beside others.
class AppRun {
 public:
  enum class State { running, done, failed, cancelled };
  AppRun(std::string scenario_name, std::string with_changes)
      : name(std::move(scenario_name)), label(std::move(with_changes)) {}
  ~AppRun();
  AppRun(const AppRun&) = delete;
  AppRun& operator=(const AppRun&) = delete;

  const std::string name;
  const std::string label;  ///< with what was changed
  std::atomic<bool> cancel{false};
  std::thread thread;

  // Below: by mutex.
  mutable std::mutex mutex;
  State state = State::running;
  std::string stage, unit;
  std::uint64_t done = 0, all = 0;
  std::vector<Diagnostic> faults;
  std::optional<Report> report;
  std::string page;  ///< HTML
};

struct AppSettings {
  std::string folder;  ///< where scenarios may be saved; empty: nowhere
  std::string token;   ///< first part of every address
  int port = 0;        ///< that the browser has to name as its host; set when it is known
};

/// 32 random bytes as text for addresses.
std::string random_token();

class App {
 public:
  App(Environment environment, AppSettings settings);
  ~App();
  HttpAnswer answer(const HttpRequest& request);
  void set_port(int port) { settings_.port = port; }
  const std::string& token() const { return settings_.token; }

 private:
  bool may_ask(const HttpRequest& request) const;
  HttpAnswer check(const HttpRequest& request) const;
  HttpAnswer start(const HttpRequest& request);
  HttpAnswer start_comparison(const HttpRequest& request);
  HttpAnswer state(const HttpRequest& request) const;
  HttpAnswer result(const HttpRequest& request, const std::string& what) const;
  HttpAnswer difference(const HttpRequest& request) const;
  HttpAnswer save(const HttpRequest& request) const;
  HttpAnswer scenarios() const;
  std::shared_ptr<AppRun> find(const std::string& id) const;
  /// @return its id; none where too many go on already
  std::optional<std::size_t> add(const std::shared_ptr<AppRun>& run);

  const Environment environment_;
  AppSettings settings_;
  mutable std::mutex mutex_;
  std::vector<std::shared_ptr<AppRun>> runs_;  // by id; old ones are let go
};

/// The application's one page.
std::string_view app_page();

}  // namespace flopcast
