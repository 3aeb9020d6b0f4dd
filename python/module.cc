// flopcast._flopcast: the public headers (include/flopcast/) for Python, and no more. What users call is the package
// flopcast/ beside this file.
//
// The interpreter's lock is released while scenarios are resolved and run, and taken for every call back into Python.
#include <flopcast/flopcast.h>
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

#if PY_VERSION_HEX < 0x030d0000
#define Py_IsFinalizing _Py_IsFinalizing
#endif

namespace py = pybind11;
using namespace py::literals;

namespace {

using flopcast::Environment;
using flopcast::Extensions;
using flopcast::ResolvedScenario;

// ------------------------------------------------------------------------------------------------ functions of Python

/// The interpreter ends while runs of other threads work: they are stopped, and waited for, before it is torn down.
std::atomic<bool> ending{false};
std::atomic<int> running{0};

/// A Python callable that C++ may copy, call and drop in any thread.
class Callable {
 public:
  explicit Callable(py::object function) : function_(new py::object(std::move(function)), &release) {}

  template <class Result, class... Arguments>
  Result call(Arguments&&... arguments) const {
    if (ending) throw flopcast::Interrupted();
    const py::gil_scoped_acquire lock;
    return (*function_)(std::forward<Arguments>(arguments)...).template cast<Result>();
  }

 private:
  static void release(py::object* function) {
    if (Py_IsFinalizing()) return;  // too late: let it go with the process
    const py::gil_scoped_acquire lock;
    delete function;
  }
  std::shared_ptr<py::object> function_;
};

/// What a batching policy gets: an IterationPlan as long as the policy is asked, and then nothing.
class Iteration {
 public:
  explicit Iteration(flopcast::IterationPlan& plan) : plan_(&plan) {}
  flopcast::IterationPlan& plan() const {
    if (plan_) return *plan_;
    throw std::runtime_error("this iteration is over: a policy may use it only until it returns");
  }
  void end() { plan_ = nullptr; }

 private:
  flopcast::IterationPlan* plan_;
};

Extensions::Router router_of(const py::object& function) {
  return [route = Callable(function)](const flopcast::RoutedRequest& request,
                                      std::span<const flopcast::ReplicaView> replicas) {
    const py::gil_scoped_acquire lock;
    py::list views(replicas.size());
    for (std::size_t i = 0; i < replicas.size(); ++i) views[i] = py::cast(replicas[i]);
    return route.call<std::optional<std::size_t>>(request, views);
  };
}

Extensions::Batching batching_of(const py::object& function, bool decodes_beside_prompts) {
  return {[policy = Callable(function)](flopcast::IterationPlan& plan) {
            const py::gil_scoped_acquire lock;
            const auto iteration = std::make_shared<Iteration>(plan);
            struct End {
              Iteration& iteration;
              ~End() { iteration.end(); }
            } const end{*iteration};
            policy.call<py::object>(iteration);
          },
          decodes_beside_prompts};
}

ResolvedScenario extend(const ResolvedScenario& scenario, const py::object& schedule,
                        const std::map<std::string, py::object>& routers,
                        const std::map<std::string, std::pair<py::object, bool>>& batching) {
  Extensions extensions;
  if (!schedule.is_none()) {
    extensions.schedule = [order = Callable(schedule)](const flopcast::PipelineSizes& sizes) {
      return order.call<std::string>(sizes);
    };
  }
  for (const auto& [pool, function] : routers) extensions.routers.emplace(pool, router_of(function));
  for (const auto& [pool, policy] : batching)
    extensions.batching.emplace(pool, batching_of(policy.first, policy.second));
  const py::gil_scoped_release unlocked;
  return flopcast::extend(scenario, std::move(extensions));
}

// ------------------------------------------------------------------------------------------------ runs

/// Asks Python now and then whether to go on: for a signal (Ctrl-C), and the caller's own function. Not more often than
/// a person can see, as each time the interpreter's lock is waited for.
class Watcher {
 public:
  explicit Watcher(const py::object& progress) {
    if (!progress.is_none()) progress_.emplace(progress);
  }

  bool operator()(const flopcast::Progress& progress) {
    if (ending) return false;
    const auto now = std::chrono::steady_clock::now();
    if (progress.done > 0 && now - asked_ < kPause) return true;
    asked_ = now;
    const py::gil_scoped_acquire lock;
    if (PyErr_CheckSignals() != 0) throw py::error_already_set();
    if (!progress_) return true;
    const auto answer = progress_->call<py::object>(progress);
    return answer.is_none() || answer.cast<bool>();  // a function that returns nothing only looks
  }

 private:
  static constexpr std::chrono::milliseconds kPause{50};
  std::optional<Callable> progress_;
  std::chrono::steady_clock::time_point asked_{};
};

flopcast::Report run(const ResolvedScenario& scenario, const Environment& environment, bool ideal_network,
                     bool allow_oom, bool unfolded, bool project, bool timeline, std::vector<int> timeline_gpus,
                     bool requests, const py::object& progress) {
  flopcast::RunSettings settings;
  settings.sharing = ideal_network ? flopcast::Sharing::ideal : flopcast::Sharing::max_min;
  settings.allow_oom = allow_oom;
  settings.unfolded = unfolded;
  settings.project = project;
  settings.keep_timeline = timeline;
  settings.timeline_gpus = std::move(timeline_gpus);
  settings.keep_requests = requests;
  settings.threads = 0;
  settings.progress = Watcher(progress);
  const struct Counted {
    Counted() { ++running; }
    ~Counted() { --running; }
  } counted;  // let go when the lock is held again
  const py::gil_scoped_release unlocked;
  return flopcast::run(scenario, environment, settings);
}

// ------------------------------------------------------------------------------------------------ columns

/// What Python sees of a column's values: enumerators as their numbers.
template <class Value>
using Number =
    typename std::conditional_t<std::is_enum_v<Value>, std::underlying_type<Value>, std::type_identity<Value>>::type;

/// Arrays over the columns of a record, without a copy. Each keeps the record alive.
template <class Record>
class Columns {
 public:
  explicit Columns(std::shared_ptr<const Record> record)
      : record_(record), owner_(new std::shared_ptr<const Record>(std::move(record)), [](void* kept) {
          delete static_cast<std::shared_ptr<const Record>*>(kept);
        }) {}

  template <class Value>
  void add(const char* name, const std::vector<Value>& values) {
    py::array array(py::dtype::of<Number<Value>>(), {static_cast<py::ssize_t>(values.size())},
                    {static_cast<py::ssize_t>(sizeof(Value))}, values.data(), owner_);
    array.attr("setflags")("write"_a = false);
    out_[name] = std::move(array);
  }
  void names(const char* name, const std::vector<std::string>& values) { out_[name] = py::tuple(py::cast(values)); }
  const Record& record() const { return *record_; }
  py::dict take() { return std::move(out_); }

 private:
  std::shared_ptr<const Record> record_;
  py::capsule owner_;
  py::dict out_;
};

py::object timeline_of(const flopcast::Report& report) {
  const auto timeline = report.timeline();
  if (!timeline) return py::none();
  Columns columns(timeline);
  const flopcast::Timeline& t = *timeline;
  columns.add("start_s", t.start_s);
  columns.add("end_s", t.end_s);
  columns.add("gpu", t.gpu);
  columns.add("lane", t.lane);
  columns.add("kind", t.kind);
  columns.add("stage", t.stage);
  columns.add("micro_batch", t.micro_batch);
  columns.add("layer", t.layer);
  columns.add("transfer", t.transfer);
  columns.names("kind_names", t.kind_names);
  columns.names("lane_names", t.lane_names);
  return columns.take();
}

py::object requests_of(const flopcast::Report& report) {
  const auto requests = report.requests();
  if (!requests) return py::none();
  Columns columns(requests);
  const flopcast::Requests& r = *requests;
  columns.add("id", r.id);
  columns.add("request_class", r.request_class);
  columns.add("outcome", r.outcome);
  columns.add("input_tokens", r.input_tokens);
  columns.add("cached_tokens", r.cached_tokens);
  columns.add("output_tokens", r.output_tokens);
  columns.add("arrival_s", r.arrival_s);
  columns.add("scheduled_s", r.scheduled_s);
  columns.add("first_token_s", r.first_token_s);
  columns.add("finish_s", r.finish_s);
  columns.names("class_names", r.class_names);
  return columns.take();
}

/// (name, value, unit, title, meaning, why there is no value) of every metric.
py::list metrics_of(const flopcast::Report& report) {
  py::list out;
  for (const flopcast::Metric& metric : flopcast::metrics(report)) {
    py::object value = py::none();
    std::string why;
    if (const auto* absent = std::get_if<flopcast::Absent>(&metric.value)) {
      why = absent->reason;
    } else {
      value = std::visit(
          [](const auto& is) -> py::object {
            if constexpr (std::is_same_v<std::decay_t<decltype(is)>, flopcast::Absent>)
              return py::none();
            else
              return py::cast(is);
          },
          metric.value);
    }
    out.append(py::make_tuple(metric.name, value, metric.unit, metric.title, metric.meaning, why));
  }
  return out;
}

// ------------------------------------------------------------------------------------------------ exceptions

PyObject* input_error = nullptr;  // both live as long as the interpreter
PyObject* interrupted = nullptr;

void translate(std::exception_ptr thrown) {
  try {
    if (thrown) std::rethrow_exception(thrown);
  } catch (const flopcast::InputError& error) {
    const py::object exception = py::reinterpret_borrow<py::object>(input_error)(error.what());
    exception.attr("diagnostics") = py::tuple(py::cast(error.diagnostics()));
    PyErr_SetObject(input_error, exception.ptr());
  } catch (const flopcast::Interrupted& error) {
    PyErr_SetString(interrupted, error.what());
  }
}

void define_errors(py::module_& m) {
  py::class_<flopcast::Diagnostic>(m, "Diagnostic", "One fault of an input: where, what was found, what was expected.")
      .def_readonly("file", &flopcast::Diagnostic::file, "Empty when the fault is in an override or an option.")
      .def_readonly("line", &flopcast::Diagnostic::line, "From 1; 0: unknown.")
      .def_readonly("column", &flopcast::Diagnostic::column, "From 1; 0: unknown.")
      .def_readonly("path", &flopcast::Diagnostic::field, "Of the field, such as 'training.plan.expert'.")
      .def_readonly("found", &flopcast::Diagnostic::found, "What stands there.")
      .def_readonly("expected", &flopcast::Diagnostic::expected, "What may stand there.")
      .def_readonly("nearest", &flopcast::Diagnostic::suggestion, "Valid name or value nearest to it; may be empty.")
      .def_readonly("remedy", &flopcast::Diagnostic::remedy, "What would put it right, in words; may be empty.")
      .def(py::init([](std::string file, int line, int column, std::string path, std::string found,
                       std::string expected, std::string nearest, std::string remedy) {
             return flopcast::Diagnostic{std::move(file),
                                         line,
                                         column,
                                         std::move(path),
                                         std::move(found),
                                         std::move(expected),
                                         std::move(nearest),
                                         std::move(remedy)};
           }),
           "file"_a = "", "line"_a = 0, "column"_a = 0, "path"_a = "", "found"_a = "", "expected"_a = "",
           "nearest"_a = "", "remedy"_a = "")
      .def("__reduce__",
           [](const py::object& self) {  // errors of worker processes reach those who started them
             const auto& d = self.cast<const flopcast::Diagnostic&>();
             return py::make_tuple(py::type::of(self), py::make_tuple(d.file, d.line, d.column, d.field, d.found,
                                                                      d.expected, d.suggestion, d.remedy));
           })
      .def("__str__", [](const flopcast::Diagnostic& d) { return flopcast::to_string(d); })
      .def("__repr__", [](const flopcast::Diagnostic& d) { return "<Diagnostic " + flopcast::to_string(d) + ">"; });
  input_error = PyErr_NewExceptionWithDoc("flopcast.InputError",
                                          "An input is wrong. `diagnostics` has every fault, each at its place; the "
                                          "text has one a line.",
                                          PyExc_ValueError, nullptr);
  interrupted = PyErr_NewExceptionWithDoc("flopcast.Interrupted", "A run was stopped by its `progress` function.",
                                          PyExc_RuntimeError, nullptr);
  if (!input_error || !interrupted) throw py::error_already_set();
  py::reinterpret_borrow<py::object>(input_error).attr("diagnostics") = py::tuple();
  m.add_object("InputError", py::reinterpret_borrow<py::object>(input_error));
  m.add_object("Interrupted", py::reinterpret_borrow<py::object>(interrupted));
  py::register_exception_translator(&translate);
}

// ------------------------------------------------------------------------------------------------ values

void define_policies(py::module_& m) {
  using namespace flopcast;
  py::class_<PipelineSizes>(m, "PipelineSizes", "What an order of passes is asked for.")
      .def_readonly("ranks", &PipelineSizes::ranks, "Pipeline-parallel size.")
      .def_readonly("micro_batches", &PipelineSizes::micro_batches, "Per step and pipeline.")
      .def_readonly("chunks", &PipelineSizes::chunks, "Model chunks per rank.")
      .def_property_readonly(
          "stages", [](const PipelineSizes& s) { return s.ranks * s.chunks; }, "ranks x chunks.");
  py::class_<ReplicaView>(m, "Replica", "What a router sees of a replica.")
      .def_readonly("outstanding", &ReplicaView::outstanding, "Requests sent to it and not finished.")
      .def_readonly("queued_tokens", &ReplicaView::queued_tokens, "Prompt tokens it has still to compute.")
      .def_readonly("kv_tokens", &ReplicaView::kv_tokens, "Tokens of its KV cache in use.")
      .def_readonly("kv_capacity_tokens", &ReplicaView::kv_capacity_tokens, "Tokens that its KV cache holds.")
      .def_readonly("prefix_match_tokens", &ReplicaView::prefix_match_tokens, "Of this prompt, in its caches.")
      .def_readonly("accepting", &ReplicaView::accepting, "Requests may go to it.");
  py::class_<RoutedRequest>(m, "Request", "What a router sees of a request.")
      .def_readonly("id", &RoutedRequest::id)
      .def_readonly("pool", &RoutedRequest::pool, "Whose replicas it is to go to.")
      .def_readonly("arrival_s", &RoutedRequest::arrival_s, "At the deployment, in seconds.")
      .def_readonly("input_tokens", &RoutedRequest::input_tokens, "Of the whole prompt.")
      .def_readonly("output_tokens", &RoutedRequest::output_tokens,
                    "Of the answer: a router that looks at it knows the future.")
      .def_readonly("request_class", &RoutedRequest::request_class, "Index into the traffic's classes.")
      .def_readonly("turn", &RoutedRequest::turn, "Of its session, from 0.")
      .def_readonly("session", &RoutedRequest::session, "Which conversation; 0: none.");
  py::class_<Iteration, std::shared_ptr<Iteration>>(
      m, "Iteration",
      "The next iteration of an attention group while a batching policy puts it together. Requests that decode are in "
      "it already. To be used until the policy returns.")
      .def_property_readonly(
          "token_budget", [](const Iteration& i) { return i.plan().token_budget; },
          "Most tokens of an iteration that the scenario allows.")
      .def_property_readonly(
          "decoding_requests", [](const Iteration& i) { return i.plan().decoding_requests; }, "Requests that decode.")
      .def_property_readonly(
          "decoding_tokens", [](const Iteration& i) { return i.plan().decoding_tokens; },
          "Tokens that they process in an iteration, drafts included.")
      .def(
          "continue_prompts", [](const Iteration& i, std::int64_t tokens) { return i.plan().continue_prompts(tokens); },
          "tokens"_a,
          "Adds pieces of prompts that were admitted before, in order of admission, `tokens` at most. Returns what is "
          "left of `tokens`.")
      .def(
          "admit_waiting", [](const Iteration& i, std::int64_t tokens) { return i.plan().admit_waiting(tokens); },
          "tokens"_a,
          "Admits requests from the queue, first come first served, as long as the cache has room, with pieces of "
          "their prompts, `tokens` at most. Returns what is left of `tokens`.");
}

void define_values(py::module_& m) {
  const py::call_guard<py::gil_scoped_release> unlocked;
  py::class_<Environment>(m, "Environment",
                          "Libraries of GPUs, nodes, fabrics, clusters, models and scenarios, calibrations and prices. "
                          "Immutable; may be used by several threads at once. Tables are read when they are first "
                          "needed and never again: make a new one to see files that have changed.")
      .def(py::init(&flopcast::load_environment), "folders"_a = std::vector<std::string>{}, unlocked,
           "Looks in `folders`, then in those of $FLOPCAST_LIBRARY, then in the data that came with this library.")
      .def_property_readonly("folders", &Environment::folders, "In the order in which they are searched.")
      .def("names", &Environment::names, "kind"_a, unlocked,
           "Names of a kind, sorted: 'gpus', 'nodes', 'fabrics', 'clusters', 'models', 'schedules', 'collectives' or "
           "'scenarios'.")
      .def("show", &Environment::show, "name"_a, unlocked,
           "An entry of any kind as its file states it, and in full where it is a variant of another.");

  py::class_<ResolvedScenario>(m, "Scenario", "A scenario, read, looked up, checked and complete. Immutable.")
      .def_property_readonly("name", &ResolvedScenario::name)
      .def_property_readonly("title", &ResolvedScenario::title)
      .def_property_readonly("file", &ResolvedScenario::file, "That it was read from, or the label of its text.")
      .def_property_readonly(
          "work", [](const ResolvedScenario& s) { return std::string(name_of(s.work())); },
          "'training', 'serving', 'rl', 'collective', 'life' or 'given' (nothing to replay).")
      .def_property_readonly("gpus", &ResolvedScenario::gpus, "Of its cluster.")
      .def_property_readonly("notes", &ResolvedScenario::notes,
                             "What the reader of a report should know of the inputs.")
      .def_property_readonly("defaults_used", &ResolvedScenario::defaults_used,
                             "Settings that the scenario left open, as 'path = value'.")
      .def("__repr__", [](const ResolvedScenario& s) { return "<Scenario " + s.name() + ": " + s.title() + ">"; });

  py::class_<flopcast::Progress>(m, "Progress", "How far a run is.")
      .def_readonly("stage", &flopcast::Progress::stage, "What is replayed: 'the step', 'requests'.")
      .def_readonly("done", &flopcast::Progress::done, "0: the stage begins.")
      .def_readonly("all", &flopcast::Progress::all, "An estimate where it is not known beforehand; 0 at the start.")
      .def_readonly("unit", &flopcast::Progress::unit, "Of both: 'operations', 'requests'.")
      .def("__repr__", [](const flopcast::Progress& p) {
        return "<Progress " + p.stage + ": " + std::to_string(p.done) + " of " + std::to_string(p.all) + " " + p.unit +
               ">";
      });

  py::class_<flopcast::Report>(m, "Report")
      .def_property_readonly("scenario", &flopcast::Report::scenario)
      .def("json", &flopcast::Report::json, unlocked)
      .def("text", &flopcast::Report::text, "colours"_a, "width"_a, unlocked)
      .def("metrics", &metrics_of)
      .def("timeline", &timeline_of)
      .def("requests", &requests_of);
}

}  // namespace

PYBIND11_MODULE(_flopcast, m) {
  m.doc() = "What the package flopcast is made on; use that.";
  const py::call_guard<py::gil_scoped_release> unlocked;
  define_errors(m);
  define_policies(m);
  define_values(m);
  m.def("version", &flopcast::version);
  m.def("resolve", &flopcast::resolve, "name_or_file"_a, "environment"_a, "overrides"_a, unlocked);
  m.def("resolve_text", &flopcast::resolve_text, "text"_a, "label"_a, "environment"_a, "overrides"_a, unlocked);
  m.def("check", &flopcast::check, "scenario"_a, unlocked);
  m.def("extend", &extend, "scenario"_a, "schedule"_a, "routers"_a, "batching"_a);
  m.def(
      "order_of_passes",
      [](const std::string& schedule, int ranks, int micro_batches, int chunks) {
        return flopcast::order_of_passes(schedule, {ranks, micro_batches, chunks});
      },
      "schedule"_a, "ranks"_a, "micro_batches"_a, "chunks"_a, unlocked);
  m.def(
      "end",
      [] {
        ending = true;
        const py::gil_scoped_release others_go_on;
        while (running > 0) std::this_thread::sleep_for(std::chrono::milliseconds(1));
      },
      "Called when the interpreter ends: stops the runs of other threads and waits for them.");
  m.def("run", &run, "scenario"_a, "environment"_a, "ideal_network"_a, "allow_oom"_a, "unfolded"_a, "project"_a,
        "timeline"_a, "timeline_gpus"_a, "requests"_a, "progress"_a);
}
