#include "analysis/app/app.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <filesystem>
#include <random>

#include "analysis/app/app_json.h"
#include "analysis/app/app_studies.h"
#include "analysis/face/environment_data.h"
#include "analysis/render/text/escape.h"
#include "analysis/render/text/field_text.h"
#include "analysis/render/text/json.h"
#include "analysis/studies/compare/compare.h"
#include "analysis/studies/compare/compare_html.h"
#include "flopcast/extend.h"
#include "scenarios/proto/field_list.pb.h"
#include "scenarios/read/text/json_file.h"
#include "scenarios/resolve/scenario.h"
#include "sim/base/atomic_file.h"
#include "sim/base/fault_text.h"
#include "sim/base/file_contents.h"

namespace flopcast {
namespace {

constexpr const char* kFirst = "deepseek_v3_2048_h800";  // what the page begins with
constexpr const char* kSession = "flopcast-app.json";    // its state, in the folder

/// Takes as long whichever byte differs.
bool equal_secret(std::string_view a, std::string_view b) {
  unsigned differs = a.size() == b.size() ? 0 : 1;
  for (std::size_t i = 0; i < std::min(a.size(), b.size()); ++i)
    differs |= static_cast<unsigned>(static_cast<unsigned char>(a[i]) ^ static_cast<unsigned char>(b[i]));
  return differs == 0;
}

/// Letters, digits, - and _: a file of the folder and no other.
bool plain_name(const std::string& name) {
  return !name.empty() && name.size() <= 64 && std::all_of(name.begin(), name.end(), [](unsigned char c) {
    return std::isalnum(c) != 0 || c == '-' || c == '_';
  });
}

/// A text and an order of passes come as one body, a record separator between them.
constexpr char kSeparator = '\x1e';
std::string text_of(const std::string& body) { return body.substr(0, body.find(kSeparator)); }
std::string schedule_of(const std::string& body) {
  const std::size_t at = body.find(kSeparator);
  return at == std::string::npos ? "" : body.substr(at + 1);
}

/// What a link leads to may lie outside of the folder.
bool own_file(const std::string& path) {
  std::error_code unknown;
  return !std::filesystem::is_symlink(path, unknown) && std::filesystem::is_regular_file(path, unknown);
}

/// Scenarios that were saved in a folder.
std::vector<std::string> saved_in(const std::string& folder) {
  std::vector<std::string> names;
  if (folder.empty()) return names;
  std::error_code failed;
  for (const auto& entry : std::filesystem::directory_iterator(folder, failed)) {
    const std::filesystem::path path = entry.path();
    if (path.extension() == ".textproto" && plain_name(path.stem().string()) && own_file(path.string()))
      names.push_back(path.stem().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

std::string runs_json(const std::vector<std::shared_ptr<AppRun>>& runs) {
  std::string out = "[";
  for (std::size_t id = 0; id < runs.size(); ++id)
    if (runs[id]) out += (out.size() > 1 ? "," : "") + run_json(*runs[id], id);
  return out + "]";
}

/// Writes a file of the folder. @throws std::runtime_error, also where a link would lead out of it.
void write_into_folder(const std::string& path, const std::string& text) {
  std::error_code unknown;
  const auto there = std::filesystem::symlink_status(path, unknown);
  if (std::filesystem::exists(there) && !std::filesystem::is_regular_file(there))
    throw std::runtime_error("cannot write " + path + ": it is no file but a link, a folder or a device");
  write_file_atomically(path, text);
}

/// Why the page's state can not be taken from this text; empty: it can.
std::string fault_of_state(const std::string& text) {
  try {
    parse_json_object(text, kSession);
    return "";
  } catch (const InputError& error) {
    return first_of(error);
  }
}

std::string label_with(const std::string& name, const std::vector<std::string>& sets, const std::string& what) {
  std::string label = name;
  for (const std::string& set : sets) label += " " + set;
  return label + what;
}

}  // namespace

std::string random_token() {
  std::random_device device;
  std::string out;
  for (int i = 0; i < 8; ++i) out += fmt::format("{:08x}", device());
  return out;
}

App::App(const Environment& environment, AppSettings settings)
    : loader_(environment, settings.folder), environment_(environment), settings_(std::move(settings)) {}

ResolvedScenario App::resolved(const HttpRequest& request) const {
  const std::string schedule = schedule_of(request.body);
  ResolvedScenario scenario = loader_.resolve(asked_for(request));
  if (schedule.empty()) return scenario;
  Extensions own;
  own.schedule = [schedule](const PipelineSizes&) { return schedule; };
  return extend(scenario, std::move(own));
}

AppScenario App::asked_for(const HttpRequest& request) const {
  return {text_of(request.body), label_of(request), request.all_arguments("set")};
}

void App::warm_up() {
  try {
    flopcast::check(resolve(kFirst, environment_));
    fields();
  } catch (const std::exception&) {
    // Libraries of one's own may not have it; whoever needs one that is wrong gets the fault then.
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
  return request.method == "POST" ? post(request, what) : get(request, what);
}

HttpAnswer App::post(const HttpRequest& request, const std::string& what) {
  if (what == "check") return check(request);
  if (what == "run") return start(request);
  if (what == "sweep") return start_study(request, AppRun::Kind::sweep);
  if (what == "plan") return start_study(request, AppRun::Kind::plan);
  if (what == "compare") return start_comparison(request);
  if (what == "save") return save(request);
  if (what == "keep") return keep(request);
  if (what == "cancel") {
    const auto run = runs_.find(request.argument("id"));
    if (!run) return refused(404, "there is no such run");
    run->cancel = true;
    // The work ends where it next looks, which a large step that is being built does not do for seconds.
    const std::lock_guard lock(run->mutex);
    if (run->state == AppRun::State::running) run->state = AppRun::State::cancelled;
    return json_answer("{}");
  }
  return refused(404, "nothing here");
}

HttpAnswer App::get(const HttpRequest& request, const std::string& what) const {
  if (what.empty()) return {200, "text/html; charset=utf-8", std::string(app_page())};
  if (what == "begin") return begin();
  if (what == "fields") return json_answer(fields());
  if (what == "runs") return json_answer(runs_json(runs_.all()));
  if (what == "difference") return difference(request);
  if (what == "scenario") return scenario(request);
  if (what == "library")
    return json_answer(library_json(list_library(LibraryKind::scenarios, environment_.data().libraries())));
  return result(request, what);
}

/// Everything that the page needs before it can be used, in one answer.
HttpAnswer App::begin() const {
  const bool there = environment_.data().libraries().find(LibraryKind::scenarios, kFirst).has_value();
  const std::string file = settings_.folder.empty() ? "" : settings_.folder + "/" + kSession;
  std::string session = own_file(file) ? contents_of(file) : "", fault;
  if (!session.empty()) fault = fault_of_state(session);
  if (!fault.empty()) {
    session.clear();
    fault = fmt::format("The state kept in {} is left out, as it cannot be read ({}).", file, fault);
  }
  return json_answer(fmt::format(
      "{{\"scenarios\":{},\"saved\":{},\"folder\":{},\"runs\":{},\"session\":{},\"session_fault\":{},\"first\":{},"
      "\"text\":{}}}",
      strings_json(environment_.names("scenarios")), strings_json(saved_in(settings_.folder)),
      settings_.folder.empty() ? "false" : "true", runs_json(runs_.all()), script_quoted(session), script_quoted(fault),
      script_quoted(there ? kFirst : ""),
      script_quoted(there ? contents_of(*environment_.data().libraries().find(LibraryKind::scenarios, kFirst)) : "")));
}

const std::string& App::fields() const {
  std::call_once(fields_once_, [this] { fields_ = to_json(to_message(fields_below(""), version())); });
  return fields_;
}

HttpAnswer App::scenario(const HttpRequest& request) const {
  const std::string name = request.argument("name");
  if (!plain_name(name)) return refused(404, "there is no scenario of that name");
  const std::vector<std::string> own = saved_in(settings_.folder);
  if (std::find(own.begin(), own.end(), name) != own.end())
    return {200, "text/plain; charset=utf-8", contents_of(settings_.folder + "/" + name + ".textproto")};
  const auto file = environment_.data().libraries().find(LibraryKind::scenarios, name);
  if (!file) {
    const std::vector<std::string> names = environment_.names("scenarios");
    const std::string nearest = nearest_name(name, names);
    return refused(404,
                   "there is no scenario of that name" + (nearest.empty() ? "" : "; did you mean " + nearest + "?"));
  }
  return {200, "text/plain; charset=utf-8", contents_of(*file)};
}

/// What stands for the file of a text: its folder is where a schedule or a trace is looked for.
std::string App::label_of(const HttpRequest& request) const {
  const std::string name = request.argument("name"), plain = plain_name(name) ? name : "scenario";
  const std::vector<std::string> own = saved_in(settings_.folder);
  if (std::find(own.begin(), own.end(), plain) == own.end()) {
    const auto file = environment_.data().libraries().find(LibraryKind::scenarios, plain);
    if (file) return *file;
  }
  return settings_.folder.empty() ? plain : settings_.folder + "/" + plain + ".textproto";
}

HttpAnswer App::check(const HttpRequest& request) const {
  try {
    const ResolvedScenario scenario = resolved(request);
    const std::string facts = flopcast::check(scenario);
    return json_answer(
        fmt::format("{{\"faults\":[],\"stated\":{},\"facts\":{},\"title\":{},\"work\":\"{}\",\"notes\":{}}}",
                    stated_json(text_of(request.body)), script_quoted(facts), script_quoted(scenario.title()),
                    name_of(scenario.work()), strings_json(scenario.notes())));
  } catch (const InputError& error) {
    return json_answer(fmt::format("{{\"faults\":{},\"stated\":{}}}", faults_json(error.diagnostics()),
                                   stated_json(text_of(request.body))));
  }
}

HttpAnswer App::launch(const std::shared_ptr<AppRun>& run, std::function<void(AppRun&)> work) {
  const auto id = runs_.launch(run, std::move(work));
  if (!id) return refused(429, "three runs go on already, or are being ended: cancel one, or wait");
  return json_answer(fmt::format("{{\"id\":{}}}", *id));
}

HttpAnswer App::start(const HttpRequest& request) {
  const std::string schedule = schedule_of(request.body);
  std::optional<ResolvedScenario> scenario;
  try {
    scenario = resolved(request);
  } catch (const InputError& error) {
    return json_answer(fmt::format("{{\"faults\":{}}}", faults_json(error.diagnostics())));
  }
  const auto run = std::make_shared<AppRun>(
      AppRun::Kind::replay, scenario->name(),
      label_with(scenario->name(), request.all_arguments("set"), schedule.empty() ? "" : ", passes moved"));
  run->text = text_of(request.body);
  run->sets = request.all_arguments("set");
  run->schedule = schedule;
  const bool unfits = request.argument("allow_oom") == "1";
  return launch(run, [scenario = *scenario, environment = environment_, unfits](AppRun& own) {
    RunSettings settings = settings_of(own);
    settings.allow_oom = unfits;
    RunHooks hooks;
    StepShown shown;
    show_step(hooks, shown, true);
    Report report = flopcast::run(scenario, environment, settings, hooks);
    std::string page = to_html(report.data(), shown);
    shown.timeline.reset();  // the page has it
    const std::lock_guard lock(own.mutex);
    own.report = std::move(report);
    own.page = std::move(page);
    own.shown = std::move(shown);
  });
}

HttpAnswer App::start_study(const HttpRequest& request, AppRun::Kind kind) {
  const AppScenario scenario = asked_for(request);
  std::vector<AppAxis> axes;
  try {
    for (const std::string& axis : request.all_arguments("axis")) axes.push_back(parse_axis(axis));
  } catch (const InputError& error) {
    return json_answer(fmt::format("{{\"faults\":{}}}", faults_json(error.diagnostics())));
  }
  const std::string name = plain_name(request.argument("name")) ? request.argument("name") : "scenario";
  std::string over = kind == AppRun::Kind::plan ? " plans" : " over";
  for (const AppAxis& axis : axes) over += " " + axis.path.substr(axis.path.rfind('.') + 1);
  const auto run = std::make_shared<AppRun>(kind, name, label_with(name, scenario.sets, over));
  run->text = scenario.text;
  run->sets = scenario.sets;
  return launch(run, [scenario, axes, loader = loader_](AppRun& own) {
    if (own.kind == AppRun::Kind::plan)
      plan_points(own, scenario, loader);
    else
      sweep_points(own, scenario, axes, loader);
  });
}

HttpAnswer App::start_comparison(const HttpRequest& request) {
  const auto a = runs_.find(request.argument("a")), b = runs_.find(request.argument("b"));
  std::vector<Scenario> scenarios;
  for (const auto& run : {a, b}) {
    if (!run) return refused(404, "there is no such run");
    const std::lock_guard lock(run->mutex);
    if (!run->report) return refused(409, "a run without a result");
    scenarios.push_back(run->report->scenario().value());
    scenarios.back().name = run->label;
  }
  const auto run = std::make_shared<AppRun>(AppRun::Kind::comparison, "comparison", a->label + " → " + b->label);
  return launch(run, [scenarios, environment = environment_](AppRun& own) {
    CompareOptions options;
    RunSettings settings = settings_of(own);
    settings.allow_oom = true;
    options.run = run_options(scenarios[0], environment, settings);
    options.workers = 1;
    std::string page = to_html(compare(scenarios, options));
    const std::lock_guard lock(own.mutex);
    own.page = std::move(page);
  });
}

HttpAnswer App::result(const HttpRequest& request, const std::string& what) const {
  static constexpr std::array kKnown = {"state", "inputs", "points", "pipeline", "figures",
                                        "page",  "json",   "csv",    "svg"};
  if (std::find(kKnown.begin(), kKnown.end(), what) == kKnown.end()) return refused(404, "nothing here");
  const auto run = runs_.find(request.argument("id"));
  if (!run) return refused(404, "there is no such run");
  const std::lock_guard lock(run->mutex);
  if (what == "state") return json_answer(state_json(*run));
  if (what == "inputs") return json_answer(inputs_json(*run));
  if (what == "points") return json_answer(points_json(*run));
  return result_of(*run, what, plain_name(run->name) ? run->name : "run", request.argument("save") == "1");
}

// Figures that both reports have and that differ.
HttpAnswer App::difference(const HttpRequest& request) const {
  const auto a = runs_.find(request.argument("a")), b = runs_.find(request.argument("b"));
  std::vector<std::vector<Metric>> found;
  for (const auto& run : {a, b}) {
    if (!run) return refused(404, "there is no such run");
    const std::lock_guard lock(run->mutex);
    if (!run->report) return refused(409, "a run without a result");
    found.push_back(metrics(*run->report));
  }
  return json_answer(difference_json(found[0], found[1]));
}

HttpAnswer App::save(const HttpRequest& request) const {
  if (settings_.folder.empty()) return refused(403, "no folder was named: start the program with --folder DIR");
  const std::string name = request.argument("name");
  if (!plain_name(name)) return refused(400, "a name of letters, digits, - and _");
  try {
    const std::string file = settings_.folder + "/" + name + ".textproto";
    write_into_folder(file, text_of(request.body));
    return json_answer(fmt::format("{{\"file\":{}}}", script_quoted(file)));
  } catch (const std::runtime_error& error) {
    return refused(500, error.what());
  }
}

/// The state of the page, for the next time the program is started with this folder.
HttpAnswer App::keep(const HttpRequest& request) const {
  constexpr std::size_t kMost = 1 << 20;
  if (settings_.folder.empty()) return json_answer("{}");
  if (request.body.size() > kMost) return refused(413, "too much to keep");
  if (const std::string fault = fault_of_state(request.body); !fault.empty())
    return refused(400, "no state of the page: " + fault);
  try {
    write_into_folder(settings_.folder + "/" + kSession, request.body);
    return json_answer("{}");
  } catch (const std::runtime_error& error) {
    return refused(500, error.what());
  }
}

}  // namespace flopcast
