// The local application: scenarios are picked or described in a browser, replayed by this process, and shown as the
// pages that `--html` writes. Nothing is kept outside of memory but what is saved into a folder the user named.
#pragma once
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "analysis/app/app_loader.h"
#include "analysis/app/app_run.h"
#include "analysis/app/app_runs.h"
#include "analysis/app/http.h"
#include "flopcast/environment.h"

namespace flopcast {

struct AppSettings {
  std::string folder;  ///< where scenarios may be saved; empty: nowhere
  std::string token;   ///< first part of every address
  int port = 0;        ///< that the browser has to name as its host; set when it is known
};

/// 32 random bytes as text for addresses.
std::string random_token();

class App {
 public:
  /// Of the environment's libraries; no file is opened for a scenario but below the folder, or beside those of a
  /// library.
  App(const Environment& environment, AppSettings settings);
  HttpAnswer answer(const HttpRequest& request);
  void set_port(int port) { settings_.port = port; }
  const std::string& token() const { return settings_.token; }
  /// Reads what the first page needs, so that it need not wait for it: called beside the server.
  void warm_up();

 private:
  bool may_ask(const HttpRequest& request) const;
  HttpAnswer get(const HttpRequest& request, const std::string& what) const;
  HttpAnswer post(const HttpRequest& request, const std::string& what);
  HttpAnswer begin() const;
  HttpAnswer check(const HttpRequest& request) const;
  HttpAnswer start(const HttpRequest& request);
  HttpAnswer start_study(const HttpRequest& request, AppRun::Kind kind);
  HttpAnswer start_comparison(const HttpRequest& request);
  HttpAnswer result(const HttpRequest& request, const std::string& what) const;
  HttpAnswer difference(const HttpRequest& request) const;
  HttpAnswer scenario(const HttpRequest& request) const;
  HttpAnswer save(const HttpRequest& request) const;
  HttpAnswer keep(const HttpRequest& request) const;
  const std::string& fields() const;
  std::string label_of(const HttpRequest& request) const;
  /// Adds a run and begins it. @return its id as JSON, or that too many go on already
  HttpAnswer launch(const std::shared_ptr<AppRun>& run, std::function<void(AppRun&)> work);

  AppScenario asked_for(const HttpRequest& request) const;
  ResolvedScenario resolved(const HttpRequest& request) const;

  const AppLoader loader_;
  const Environment environment_;
  AppSettings settings_;
  mutable std::once_flag fields_once_;
  mutable std::string fields_;
  AppRuns runs_;
};

/// The application's one page.
std::string_view app_page();
/// What runs in it, in two parts.
std::string_view app_script();
std::string_view app_study_script();

}  // namespace flopcast
