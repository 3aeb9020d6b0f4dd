#include "analysis/app/app.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <fstream>
#include <random>

#include "analysis/face/environment_data.h"
#include "analysis/render/escape.h"
#include "analysis/render/field_text.h"
#include "analysis/render/json.h"
#include "analysis/runs/metric_output.h"
#include "analysis/studies/compare/compare.h"
#include "analysis/studies/compare/compare_html.h"
#include "scenarios/proto/field_list.pb.h"
#include "scenarios/resolve/scenario.h"
#include "sim/base/atomic_file.h"

namespace flopcast {
namespace {

constexpr std::size_t kMostAtOnce = 3, kMostKept = 24;
constexpr const char* kJson = "application/json; charset=utf-8";
constexpr const char* kHtml = "text/html; charset=utf-8";

HttpAnswer refused(int status, const std::string& why) {
  return {status, kJson, fmt::format("{{\"error\":{}}}", script_quoted(why))};
}

/// Takes as long whichever byte differs.
bool equal_secret(std::string_view a, std::string_view b) {
  unsigned differs = a.size() == b.size() ? 0 : 1;
  for (std::size_t i = 0; i < std::min(a.size(), b.size()); ++i)
    differs |= static_cast<unsigned>(static_cast<unsigned char>(a[i]) ^ static_cast<unsigned char>(b[i]));
  return differs == 0;
}

std::string faults_json(const std::vector<Diagnostic>& faults) {
  std::string out = "[";
  for (const Diagnostic& d : faults) {
    out += fmt::format("{}{{\"line\":{},\"column\":{},\"field\":{},\"text\":{}}}", out.size() > 1 ? "," : "", d.line,
                       d.column, script_quoted(d.field), script_quoted(to_string(d)));
  }
  return out + "]";
}

std::string strings_json(const std::vector<std::string>& texts) {
  std::string out = "[";
  for (const std::string& text : texts) out += (out.size() > 1 ? "," : "") + script_quoted(text);
  return out + "]";
}

/// Letters, digits, - and _: a file of the folder and no other.
bool plain_name(const std::string& name) {
  return !name.empty() && name.size() <= 64 && std::all_of(name.begin(), name.end(), [](unsigned char c) {
    return std::isalnum(c) != 0 || c == '-' || c == '_';
  });
}

/// Of a text in the editor; a name of the library stands for itself.
ResolvedScenario scenario_of(const HttpRequest& request, const Environment& environment) {
  const std::string name = request.argument("name");
  return resolve_text(request.body, plain_name(name) ? name : "scenario", environment, request.all_arguments("set"));
}

/// Runs `work`, and keeps what it throws as faults of the run.
template <class Work>
void guarded(AppRun& run, Work work) {
  AppRun::State state = AppRun::State::done;
  std::vector<Diagnostic> faults;
  try {
    work();
  } catch (const Interrupted&) {
    state = AppRun::State::cancelled;
  } catch (const InputError& error) {
    state = AppRun::State::failed;
    faults = error.diagnostics();
  } catch (const std::exception& error) {
    state = AppRun::State::failed;
    faults.push_back({"", 0, 0, "", error.what(), "", ""});
  }
  const std::lock_guard lock(run.mutex);
  run.state = state;
  run.faults = std::move(faults);
}

RunSettings settings_of(AppRun& run) {
  RunSettings settings;
  settings.progress = [&run](const Progress& progress) {
    const std::lock_guard lock(run.mutex);
    run.stage = progress.stage;
    run.unit = progress.unit;
    run.done = progress.done;
    run.all = progress.all;
    return !run.cancel;
  };
  return settings;
}

}  // namespace

std::string random_token() {
  std::random_device device;
  std::string out;
  for (int i = 0; i < 8; ++i) out += fmt::format("{:08x}", device());
  return out;
}

AppRun::~AppRun() {
  cancel = true;
  if (!thread.joinable()) return;
  // The last reference may be let go by the run's own thread.
  if (thread.get_id() == std::this_thread::get_id())
    thread.detach();
  else
    thread.join();
}

App::App(Environment environment, AppSettings settings)
    : environment_(std::move(environment)), settings_(std::move(settings)) {}

App::~App() {
  for (const auto& run : runs_) {
    if (run) run->cancel = true;
  }
  for (const auto& run : runs_) {
    if (run && run->thread.joinable()) run->thread.join();
  }
}

// A page of another origin can send requests here, though not read the answers: it does not know the token, a name that
// it has made to point here is not ours, and a header of our own makes browsers ask first, which is refused.
bool App::may_ask(const HttpRequest& request) const {
  const std::string host = fmt::format("127.0.0.1:{}", settings_.port);
  if (request.header("host") != host) return false;
  const std::string origin = request.header("origin"), site = request.header("sec-fetch-site");
  if (!origin.empty() && origin != "http://" + host) return false;
  if (!site.empty() && site != "same-origin" && site != "none") return false;
  if (request.method == "POST" && request.header("x-flopcast") != "1") return false;
  const std::string_view path = request.path;
  if (path.size() < settings_.token.size() + 2 || path.front() != '/' || path[settings_.token.size() + 1] != '/')
    return false;
  return equal_secret(path.substr(1, settings_.token.size()), settings_.token);
}

HttpAnswer App::answer(const HttpRequest& request) {
  if (!may_ask(request)) return refused(403, "not allowed");
  const std::string what = request.path.substr(settings_.token.size() + 2);
  if (request.method == "POST") {
    if (what == "check") return check(request);
    if (what == "run") return start(request);
    if (what == "compare") return start_comparison(request);
    if (what == "save") return save(request);
    if (what == "cancel") {
      const auto run = find(request.argument("id"));
      if (!run) return refused(404, "there is no such run");
      run->cancel = true;
      return {200, kJson, "{}"};
    }
    return refused(404, "nothing here");
  }
  if (what.empty()) return {200, kHtml, std::string(app_page())};
  if (what == "scenarios") return scenarios();
  if (what == "fields") return {200, kJson, to_json(to_message(fields_below(""), version()))};
  if (what == "state") return state(request);
  if (what == "page" || what == "json" || what == "csv") return result(request, what);
  if (what == "difference") return difference(request);
  if (what == "scenario") {
    try {
      const std::string name = request.argument("name");
      if (!plain_name(name)) return refused(404, "there is no scenario of that name");
      const ResolvedScenario scenario = resolve(name, environment_);
      std::ifstream file(scenario.file(), std::ios::binary);
      return {200, "text/plain; charset=utf-8", std::string(std::istreambuf_iterator<char>(file), {})};
    } catch (const InputError& error) {
      return {200, "text/plain; charset=utf-8", environment_.show(request.argument("name"))};
    }
  }
  return refused(404, "nothing here");
}

HttpAnswer App::scenarios() const {
  std::string out = "[";
  for (const std::string& name : environment_.names("scenarios"))
    out += (out.size() > 1 ? "," : "") + script_quoted(name);
  return {200, kJson,
          fmt::format("{{\"scenarios\":{}],\"folder\":{}}}", out, settings_.folder.empty() ? "false" : "true")};
}

HttpAnswer App::check(const HttpRequest& request) const {
  try {
    const ResolvedScenario scenario = scenario_of(request, environment_);
    const std::string facts = flopcast::check(scenario);
    return {
        200, kJson,
        fmt::format("{{\"faults\":[],\"facts\":{},\"title\":{},\"work\":\"{}\",\"notes\":{}}}", script_quoted(facts),
                    script_quoted(scenario.title()), name_of(scenario.work()), strings_json(scenario.notes()))};
  } catch (const InputError& error) {
    return {200, kJson, fmt::format("{{\"faults\":{}}}", faults_json(error.diagnostics()))};
  }
}

std::optional<std::size_t> App::add(const std::shared_ptr<AppRun>& run) {
  const std::lock_guard lock(mutex_);
  std::size_t going_on = 0;
  for (const auto& other : runs_) {
    if (!other) continue;
    const std::lock_guard other_lock(other->mutex);
    going_on += other->state == AppRun::State::running ? 1 : 0;
  }
  if (going_on >= kMostAtOnce) return std::nullopt;
  runs_.push_back(run);
  if (runs_.size() > kMostKept) {
    auto& old = runs_[runs_.size() - 1 - kMostKept];
    if (old) old->cancel = true;
    old.reset();
  }
  return runs_.size() - 1;
}

std::shared_ptr<AppRun> App::find(const std::string& id) const {
  if (id.empty() || id.size() > 6 || id.find_first_not_of("0123456789") != std::string::npos) return nullptr;
  const std::lock_guard lock(mutex_);
  const std::size_t index = std::stoul(id);
  return index < runs_.size() ? runs_[index] : nullptr;
}

HttpAnswer App::start(const HttpRequest& request) {
  std::optional<ResolvedScenario> scenario;
  try {
    scenario = scenario_of(request, environment_);
  } catch (const InputError& error) {
    return {200, kJson, fmt::format("{{\"faults\":{}}}", faults_json(error.diagnostics()))};
  }
  std::string label = scenario->name();
  for (const std::string& set : request.all_arguments("set")) label += " " + set;
  const auto run = std::make_shared<AppRun>(scenario->name(), label);
  const auto id = add(run);
  if (!id) return refused(429, "three runs go on already: cancel one, or wait");
  const bool unfits = request.argument("allow_oom") == "1";
  run->thread = std::thread([run, scenario = *scenario, environment = environment_, unfits] {
    guarded(*run, [&] {
      RunSettings settings = settings_of(*run);
      settings.allow_oom = unfits;
      RunHooks hooks;
      StepShown shown;
      show_step(hooks, shown, true);
      Report report = flopcast::run(scenario, environment, settings, hooks);
      std::string page = to_html(report.data(), shown);
      const std::lock_guard lock(run->mutex);
      run->report = std::move(report);
      run->page = std::move(page);
    });
  });
  return {200, kJson, fmt::format("{{\"id\":{}}}", *id)};
}

HttpAnswer App::start_comparison(const HttpRequest& request) {
  const auto a = find(request.argument("a")), b = find(request.argument("b"));
  std::vector<Scenario> scenarios;
  for (const auto& run : {a, b}) {
    if (!run) return refused(404, "there is no such run");
    const std::lock_guard lock(run->mutex);
    if (!run->report) return refused(409, "a run without a result");
    scenarios.push_back(run->report->scenario().value());
    scenarios.back().name = run->label;
  }
  const auto run = std::make_shared<AppRun>("comparison", "comparison");
  const auto id = add(run);
  if (!id) return refused(429, "three runs go on already: cancel one, or wait");
  run->thread = std::thread([run, scenarios, environment = environment_] {
    guarded(*run, [&] {
      CompareOptions options;
      RunSettings settings = settings_of(*run);
      settings.allow_oom = true;
      options.run = run_options(scenarios[0], environment, settings);
      options.workers = 1;
      std::string page = to_html(compare(scenarios, options));
      const std::lock_guard lock(run->mutex);
      run->page = std::move(page);
    });
  });
  return {200, kJson, fmt::format("{{\"id\":{}}}", *id)};
}

HttpAnswer App::state(const HttpRequest& request) const {
  const auto run = find(request.argument("id"));
  if (!run) return refused(404, "there is no such run");
  constexpr std::array kNames = {"running", "done", "failed", "cancelled"};
  const std::lock_guard lock(run->mutex);
  return {200, kJson,
          fmt::format("{{\"state\":\"{}\",\"name\":{},\"stage\":{},\"unit\":{},\"done\":{},\"all\":{},\"faults\":{}}}",
                      kNames[static_cast<std::size_t>(run->state)], script_quoted(run->name), script_quoted(run->stage),
                      script_quoted(run->unit), run->done, run->all, faults_json(run->faults))};
}

HttpAnswer App::result(const HttpRequest& request, const std::string& what) const {
  const auto run = find(request.argument("id"));
  if (!run) return refused(404, "there is no such run");
  const std::lock_guard lock(run->mutex);
  const std::string file = plain_name(run->name) ? run->name : "run";
  if (what == "page") {
    if (run->page.empty()) return refused(409, "there is no result yet");
    return {200, kHtml, run->page, request.argument("save") == "1" ? file + ".html" : ""};
  }
  if (!run->report) return refused(409, "there is no result yet");
  if (what == "json") return {200, kJson, run->report->json(), file + ".json"};
  return {200, "text/csv; charset=utf-8", to_csv(metrics(*run->report)), file + ".csv"};
}

// Figures that both reports have and that differ.
HttpAnswer App::difference(const HttpRequest& request) const {
  const auto a = find(request.argument("a")), b = find(request.argument("b"));
  std::vector<std::vector<Metric>> found;
  for (const auto& run : {a, b}) {
    if (!run) return refused(404, "there is no such run");
    const std::lock_guard lock(run->mutex);
    if (!run->report) return refused(409, "a run without a result");
    found.push_back(metrics(*run->report));
  }
  std::string out = "[";
  for (const Metric& metric : found[0]) {
    const Metric* const other = find_metric(found[1], metric.name);
    if (other == nullptr) continue;
    const auto was = metric.number(), is = other->number();
    if (!was || !is || *was == *is) continue;
    out += fmt::format("{}{{\"name\":{},\"title\":{},\"meaning\":{},\"was\":{},\"is\":{},\"change\":{}}}",
                       out.size() > 1 ? "," : "", script_quoted(metric.name), script_quoted(metric.title),
                       script_quoted(metric.meaning), script_quoted(metric.shown()), script_quoted(other->shown()),
                       *was != 0 ? shortest(*is / *was - 1) : "null");
  }
  return {200, kJson, out + "]"};
}

HttpAnswer App::save(const HttpRequest& request) const {
  if (settings_.folder.empty()) return refused(403, "no folder was named: start the program with --folder DIR");
  const std::string name = request.argument("name");
  if (!plain_name(name)) return refused(400, "a name of letters, digits, - and _");
  try {
    const std::string file = settings_.folder + "/" + name + ".textproto";
    write_file_atomically(file, request.body);
    return {200, kJson, fmt::format("{{\"file\":{}}}", script_quoted(file))};
  } catch (const std::runtime_error& error) {
    return refused(500, error.what());
  }
}

}  // namespace flopcast
