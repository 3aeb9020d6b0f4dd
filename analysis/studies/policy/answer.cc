#include "analysis/studies/policy/answer.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <tuple>

#include "analysis/face/environment_data.h"
#include "analysis/face/resolve.h"
#include "analysis/face/run.h"
#include "analysis/studies/policy/design_scenario.h"
#include "analysis/studies/policy/frontier.h"
#include "analysis/studies/policy/policy.h"
#include "scenarios/read/libraries/library_entries.h"
#include "scenarios/read/text/text_file.h"
#include "scenarios/resolve/load_scenario.h"
#include "sim/base/diagnostic.h"
#include "sim/jobs/packed.h"

namespace flopcast {
namespace {

constexpr std::size_t kDesignsReplanned = 4;
/// Of the chip's own figure.
constexpr double kSweptFactors[] = {0.125, 0.25, 0.5, 0.75, 1, 1.5, 2};

/// What a chip costs an hour, of which all figures are known.
std::optional<double> hour_of(const ChipFigures& chip, Bytes memory, Watts power, const ChipCosts& costs,
                              FabricKind fabric) {
  if (!chip.die_area_mm2) return std::nullopt;
  return costs.usd_per_hour({*chip.die_area_mm2, memory, chip.hbm, power}, fabric);
}

/// Names as people write them: "H20" is "h20".
bool asked_for(const std::vector<ChipFigures>& asked, const std::string& gpu) {
  return std::any_of(asked.begin(), asked.end(), [&](const ChipFigures& chip) { return chip.name == gpu; });
}

class Answering {
 public:
  Answering(const AnswerQuestion& question, const Environment& environment, const RuleBook& book,
            const ChipCosts& costs)
      : q_(question), environment_(environment), book_(book), costs_(costs) {}

  PolicyAnswer run() {
    check_allowed(q_.bounds);
    out_.asked = q_.asked;
    out_.rules = q_.bounds.rules;
    out_.date = q_.bounds.date;
    for (const ExportRule* rule : with_required(q_.bounds.rules, book_)) out_.bounds.push_back(rule);
    if (q_.bounds.date) {
      out_.also = beside_bounds(*q_.bounds.date);
      out_.read_note = reading_note({{}, q_.bounds.date, ""}, book_);
    }
    for (const std::string& name : q_.chips) asked_.push_back(load_chip(libraries(), name));
    find_nodes();
    judge_all();
    for (const std::string& file : q_.works) {
      Work work;
      work.file = file;
      prepare(work);
      works_.push_back(std::move(work));
    }
    run_jobs();
    for (Work& work : works_) finish(work);
    assume();
    return std::move(out_);
  }

 private:
  struct Node {
    std::string name;
    int gpus = 0;
    GpuSpec gpu;
  };
  struct Work {
    std::string file;
    Scenario base;
    ChipFigures own;
    AnsweredWork answer;
    std::optional<double> own_hour;
  };
  struct Job {
    std::size_t work = 0;
    ChipToTry chip;
    ReplanOptions options;
    ReplannedWork* result = nullptr;
  };

  const Libraries& libraries() const { return environment_.data().libraries(); }

  /// For every GPU the plainest of its nodes: variants carry longer names.
  void find_nodes() {
    for (const std::string& name : libraries().names(LibraryKind::nodes)) {
      if (!libraries().runs(load_entry<proto::Node>(libraries(), name).message.gpu())) continue;
      const NodeSpec node = libraries().node(name);
      if (node.gpus < 2 || node.gpu.bf16_peak <= FlopPerSecond(0)) continue;
      Node& kept = nodes_[node.gpu.name];
      if (!kept.name.empty() && kept.name.size() <= name.size()) continue;
      kept = {name, node.gpus, node.gpu};
    }
  }

  // Rules.

  /// Whatever holds that day and is no bound: how licences are decided and what is taken for them, too.
  std::vector<const ExportRule*> beside_bounds(const Date& day) const {
    std::vector<const ExportRule*> out;
    for (const ExportRule& rule : book_.rules()) {
      if (is_decision(rule) && rule.judges() && rule.holds_on(day)) out.push_back(&rule);
    }
    const std::vector<const ExportRule*> rest = also_in_force(book_, day);
    out.insert(out.end(), rest.begin(), rest.end());
    return out;
  }

  /// How a licence is decided, or what is taken for it: nothing that asks for one.
  static bool is_decision(const ExportRule& rule) { return rule.kind == "review" || rule.kind == "tariff"; }

  JudgedChip judged(const ChipFigures& chip) const {
    JudgedChip out;
    out.figures = chip;
    out.free = true;
    if (const MakerNote* maker = book_.note_of(chip.vendor)) {
      out.note = maker->note;
      out.us_export = maker->us_export;
      out.sold = maker->sold;
    }
    const auto& allowed = q_.bounds.allowed;
    // One rule that catches it decides; one that cannot be computed leaves it open. What catches it for good stands
    // before what a letter asks of its addressee, and of what is left the one whose threshold it is furthest beyond.
    using Weight = std::tuple<int, bool, double>;
    std::optional<Weight> heaviest;
    const auto severity = [](const std::optional<bool>& free) { return !free ? 1 : *free ? 0 : 2; };
    for (const ExportRule* rule : q_.bounds.rules) {
      const Classification c = classify(chip, *rule, book_, q_.bounds.date);
      const bool counts_as_free = std::find(allowed.begin(), allowed.end(), c.outcome) != allowed.end();
      const std::optional<bool> free = counts_as_free ? std::optional(true)
                                       : c.controlled ? std::optional(!*c.controlled)
                                                      : std::nullopt;
      const std::optional<Margin> decisive = c.decisive();
      const Weight weight{severity(free), free == false && rule->kind != "letter",
                          decisive ? decisive->share() : -std::numeric_limits<double>::infinity()};
      if (heaviest && !(weight > *heaviest)) continue;
      heaviest = weight;
      out.free = free;
      out.rule = rule->id;
      out.outcome = c.outcome;
      out.nearest = decisive;
      out.just = just_allowed(c);
    }
    // Who makes the chip outside of the United States asks nobody.
    if (!out.us_export) {
      out.free = true;
      out.just = false;
    }
    if (const auto node = nodes_.find(chip.name); node != nodes_.end()) out.node = node->second.name;
    const std::optional<Date> launch = parse_date(chip.launch_date);
    out.later = launch && q_.bounds.date && *launch > *q_.bounds.date;
    if (!out.later && out.us_export)
      for (const ExportRule* rule : out_.also) add_also(chip, *rule, out);
    if (out.free == false) out.by_case = decided_by_case(out);
    return out;
  }

  /// Of a chip that needs a licence: what a rule on how licences are decided says other than that it is denied, and
  /// what is taken for it. Empty: there is no such rule, or it is denied.
  static std::string decided_by_case(const JudgedChip& chip) {
    std::string review, taken;
    for (const JudgedChip::Also& also : chip.also) {
      if (!also.known) continue;
      if (also.rule->kind == "review") review += (review.empty() ? "" : ", ") + also.says;
      if (also.rule->kind == "tariff") taken += ", " + also.says;
    }
    return review.empty() ? "" : review + taken;
  }

  /// Of a rule that is no bound, what it says beyond those that are.
  void add_also(const ChipFigures& chip, const ExportRule& rule, JudgedChip& out) const {
    if (!rule.judges() || repeated_by(rule, book_, *q_.bounds.date)) return;
    const Classification c = classify(chip, rule, book_, q_.bounds.date);
    if (c.controlled == false || c.approved || c.outcome.empty() || c.outcome == rule.otherwise) return;
    out.also.push_back({&rule, c.outcome, c.controlled.has_value()});
  }

  void judge_all() {
    for (const ChipFigures& chip : all_chips(libraries())) out_.chips.push_back(judged(chip));
    const auto rank = [](const JudgedChip& c) {
      const double margin = c.nearest ? c.nearest->share() : -std::numeric_limits<double>::infinity();
      const int kind = !c.us_export ? 3 : !c.free ? 2 : *c.free ? 1 : 0;
      return std::pair{kind, -margin};
    };
    std::stable_sort(out_.chips.begin(), out_.chips.end(),
                     [&](const JudgedChip& a, const JudgedChip& b) { return rank(a) < rank(b); });
  }

  const JudgedChip& judgement(const std::string& gpu) const {
    return *std::find_if(out_.chips.begin(), out_.chips.end(),
                         [&](const JudgedChip& chip) { return chip.figures.name == gpu; });
  }

  // Jobs.

  void prepare(Work& work) {
    work.base = resolve(work.file, environment_, {}).value();
    const Scenario& base = work.base;
    if (!base.training && !base.serving) {
      throw InputError(Diagnostic{base.file, 0, 0, "--for", "a scenario without `training` or `serving`",
                                  "one whose step or service can be replayed", ""});
    }
    const GpuSpec& gpu = base.cluster.node.gpu;
    work.own = load_chip(libraries(), gpu.name);
    AnsweredWork& answer = work.answer;
    answer.scenario = base.name;
    answer.title = base.title;
    answer.gpu = gpu.name;
    answer.training = base.training.has_value();
    answer.usd_per_hour = base.price.gpu.value() * 3600;
    work.own_hour = hour_of(work.own, gpu.hbm_capacity, gpu.tdp, costs_, base.cluster.fabric.kind);
    add_row(work, gpu.name, work.own, "", {});
    std::vector<std::string> without_node;
    int not_for_data_centres = 0;
    for (const JudgedChip& chip : out_.chips) {
      const auto node = nodes_.find(chip.figures.name);
      if (chip.figures.name == gpu.name) continue;
      if (!asked_.empty() && !asked_for(asked_, chip.figures.name)) continue;
      if (asked_.empty() && chip.later) continue;
      if (node == nodes_.end()) {
        if (!asked_.empty() || (chip.free == true && chip.figures.datacenter_marketed))
          without_node.push_back(chip.figures.name);
        else if (chip.free == true)
          ++not_for_data_centres;
        continue;
      }
      add_row(work, chip.figures.name, chip.figures, node->second.name, node->second.gpu);
    }
    if (!without_node.empty())
      answer.left_out.push_back(fmt::format(
          "not tried, for no node of the library holds several of them: {}{}", fmt::join(without_node, ", "),
          not_for_data_centres > 0 ? "; nor chips that are not for data centres" : ""));
    add_designs(work);
    add_curves(work);
  }

  void add_row(Work& work, const std::string& name, const ChipFigures& figures, const std::string& node,
               const GpuSpec& gpu) {
    AnswerRow row;
    row.chip = name;
    row.figures = figures;
    const JudgedChip& judged = judgement(name);
    row.free = judged.free;
    row.later = judged.later;
    row.sold = judged.sold;
    row.by_case = judged.by_case;
    if (node.empty()) {
      row.hour = 1;
    } else if (const auto hour = hour_of(figures, gpu.hbm_capacity, gpu.tdp, costs_, work.base.cluster.fabric.kind);
               hour && work.own_hour) {
      row.hour = *hour / *work.own_hour;
    }
    work.answer.rows.push_back(std::move(row));
    changes_[{works_.size(), work.answer.rows.size() - 1}] =
        node.empty() ? ChipToTry() : ChipToTry{node, nodes_.at(name).gpus, {}};
  }

  /// What a maker already sells freely may be built into a design too; chips that nobody asks leave for pass by.
  std::vector<ChipFigures> freely_sold() const {
    std::vector<ChipFigures> out;
    for (const JudgedChip& chip : out_.chips) {
      if (chip.free == true && !chip.later && chip.sold && chip.us_export && chip.figures.hbm &&
          chip.figures.datacenter_marketed)
        out.push_back(chip.figures);
    }
    return out;
  }

  /// Those of the frontier that are fastest and cheapest with the scenario's own plan, and its neighbours.
  void add_designs(Work& work) {
    const ChipFigures& own = work.own;
    if (!own.tpp || !own.die_area_mm2 || !own.io || !own.memory_bandwidth) return;
    progress("chips just allowed by " + q_.asked, 0, 1);
    CompareOptions options;
    options.run = run_options(work.base, environment_, {});
    options.run.allow_oom = true;
    options.workers = q_.workers;
    FrontierQuestion question = q_.bounds;
    question.sold = freely_sold();
    const Frontier found = frontier(work.base, own, question, book_, costs_, {}, options);
    frontier_assumptions_ = found.assumptions;
    std::size_t designs = 0;
    for (const std::size_t i : chips_to_show(found)) {
      const FrontierChip& chip = found.chips[i];
      const bool chosen = found.fastest == i || found.cheapest == i || designs < kDesignsReplanned - 1;
      if (!chip.fault.empty() || !chosen) continue;
      ++designs;
      AnswerRow row;
      row.chip = fmt::format("design {}", designs);
      row.figures = chip.figures;
      row.design = true;
      row.free = true;
      row.bound_by = chip.bound_by;
      row.hour = chip.hour;
      work.answer.rows.push_back(std::move(row));
      const ChipDesign design = design_of(chip.figures);
      changes_[{works_.size(), work.answer.rows.size() - 1}] = {
          "", 0, [design, own](Scenario& scenario) { put_on_design(design, own, scenario); }};
    }
  }

  void add_curves(Work& work) {
    const NodeSpec& node = work.base.cluster.node;
    for (const Limit limit : q_.sweeps) {
      AnswerCurve curve;
      curve.limit = limit;
      curve.unit = limit == Limit::compute ? "TFLOPS BF16" : limit == Limit::memory ? "TB/s" : "GB/s per direction";
      curve.own = limit == Limit::compute  ? node.gpu.bf16_peak.value() / 1e12
                  : limit == Limit::memory ? node.gpu.hbm_bandwidth.value() / 1e12
                  : limit == Limit::nvlink ? node.nvlink_bandwidth.value() / 1e9
                                           : node.nic_bandwidth.value() / 1e9;
      for (const double factor : kSweptFactors) curve.points.push_back({factor, {}});
      work.answer.curves.push_back(std::move(curve));
    }
  }

  void progress(const std::string& stage, std::size_t done, std::size_t all) const {
    if (q_.progress && !q_.progress(stage, done, all)) throw Interrupted();
  }

  std::vector<Job> jobs() {
    std::vector<Job> out;
    for (std::size_t w = 0; w < works_.size(); ++w) {
      AnsweredWork& answer = works_[w].answer;
      for (std::size_t i = 0; i < answer.rows.size(); ++i)
        out.push_back({w, changes_.at({w, i}), q_.replan, &answer.rows[i].work});
      for (AnswerCurve& curve : answer.curves) {
        for (AnswerCurve::Point& point : curve.points) {
          ReplanOptions options = q_.replan;
          options.what_binds = false;
          const Limit limit = curve.limit;
          const double factor = point.factor;
          out.push_back(
              {w, {"", 0, [limit, factor](Scenario& s) { scale_limit(s, limit, factor); }}, options, &point.work});
        }
      }
    }
    return out;
  }

  void run_jobs() {
    const std::vector<Job> all = jobs();
    const std::size_t round = static_cast<std::size_t>(std::max(1, q_.workers)) * 4;
    for (std::size_t begin = 0; begin < all.size(); begin += round) {
      progress("the work on every chip", begin, all.size());
      const std::size_t count = std::min(round, all.size() - begin);
      std::vector<ReplannedWork> found = parallel_map<ReplannedWork>(count, q_.workers, [&](std::size_t i) {
        const Job& job = all[begin + i];
        return replan(works_[job.work].file, {}, job.chip, environment_, job.options);
      });
      for (std::size_t i = 0; i < count; ++i) *all[begin + i].result = std::move(found[i]);
    }
  }

  // Reduction.

  void finish(Work& work) {
    AnsweredWork& answer = work.answer;
    for (AnswerRow& row : answer.rows) {
      if (!row.work.fault.empty() || answer.usd_per_hour <= 0) continue;
      row.usd_equal = row.work.gpu_hours.times(answer.usd_per_hour);
      if (row.hour) row.usd_parts = row.usd_equal->times(*row.hour);
    }
    const auto slower = [](const AnswerRow& a, const AnswerRow& b) {
      if (a.work.fault.empty() != b.work.fault.empty()) return a.work.fault.empty();
      return a.work.gpu_hours.value < b.work.gpu_hours.value;
    };
    std::stable_sort(answer.rows.begin() + 1, answer.rows.end(), slower);
    keep_two_designs(answer);
    for (std::size_t i = 0; i < answer.rows.size(); ++i) {
      const AnswerRow& row = answer.rows[i];
      if (!row.to_be_had() || !row.work.fault.empty()) continue;
      if (!answer.best_free || slower(row, answer.rows[*answer.best_free])) answer.best_free = i;
      if (row.design && (!answer.best_design || slower(row, answer.rows[*answer.best_design]))) answer.best_design = i;
    }
    out_.works.push_back(std::move(answer));
  }

  /// The fastest, and the cheapest by parts where that is another; the rest helped to find them.
  static void keep_two_designs(AnsweredWork& answer) {
    const AnswerRow *fastest = nullptr, *cheapest = nullptr;
    for (const AnswerRow& row : answer.rows) {
      if (!row.design || !row.work.fault.empty()) continue;
      if (!fastest) fastest = &row;
      const auto cost = [](const AnswerRow& r) { return r.work.gpu_hours.value * r.hour.value_or(1); };
      if (!cheapest || cost(row) < cost(*cheapest)) cheapest = &row;
    }
    std::vector<AnswerRow> kept;
    for (AnswerRow& row : answer.rows) {
      if (row.design && &row != fastest && &row != cheapest) continue;
      AnswerRow copy = row;
      if (row.design) copy.chip = &row == fastest ? "best allowed" : "cheapest allowed";
      kept.push_back(std::move(copy));
    }
    answer.rows = std::move(kept);
  }

  void assume() {
    if (!out_.read_note.empty()) out_.assumptions.push_back(out_.read_note);
    const auto any = [&](bool training) {
      return std::any_of(out_.works.begin(), out_.works.end(),
                         [&](const AnsweredWork& w) { return w.training == training; });
    };
    for (const bool training : {true, false}) {
      if (any(training)) out_.assumptions.push_back("searched, " + what_was_searched(training, q_.replan));
    }
    if (any(true)) {
      out_.assumptions.emplace_back(
          "training: GPU-hours and days are all tokens at the pace of the one step that is replayed, on every chip and "
          "in the column \"as stated\" too; phases of other lengths, ramps, checkpoints and interruptions, which `run` "
          "has, add to each");
    }
    if (any(false)) {
      out_.assumptions.push_back(
          fmt::format("serving: a service that promises nothing is held to {:.0f} ms per output token (--tpot)",
                      1000 * q_.replan.tpot_s));
    }
    out_.assumptions.emplace_back(
        "ranges hold nine cases in ten: of a step by what its kernels and links may be off, of a service as measured "
        "servers lie round predictions; dollars have the range of the GPU-hours at the price said");
    out_.assumptions.emplace_back(
        "chips of other makers than measured ones are rooflines of their data sheets, which flatter them");
    out_.assumptions.emplace_back(
        "dollars at one price: every chip costs an hour what the scenario states; by parts: an hour costs in "
        "proportion "
        "to what the chip is made of (analysis/data/money/chip_build_costs.csv): neither is a quoted price of the "
        "chip");
    for (const std::string& assumption : frontier_assumptions_) {
      const bool of_cost = assumption.starts_with("cost:") || assumption.starts_with("allowed chips");
      if (!of_cost) out_.assumptions.push_back("best allowed chip: " + assumption);
    }
  }

  const AnswerQuestion& q_;
  const Environment& environment_;
  const RuleBook& book_;
  const ChipCosts& costs_;
  std::vector<ChipFigures> asked_;
  std::map<std::string, Node> nodes_;
  std::vector<Work> works_;
  std::map<std::pair<std::size_t, std::size_t>, ChipToTry> changes_;  ///< by work and row
  std::vector<std::string> frontier_assumptions_;
  PolicyAnswer out_;
};

}  // namespace

Limit limit_named(const std::string& name) {
  static const std::vector<std::pair<std::string, Limit>> kNames{
      {"nvlink", Limit::nvlink}, {"hbm", Limit::memory}, {"flops", Limit::compute}, {"nic", Limit::nic}};
  std::vector<std::string> names;
  for (const auto& [known, limit] : kNames) {
    if (known == name) return limit;
    names.push_back(known);
  }
  throw InputError(Diagnostic{"", 0, 0, "--sweep", quoted(name), fmt::format("one of {}", fmt::join(names, ", ")),
                              nearest_name(name, names)});
}

PolicyAnswer policy_answer(const AnswerQuestion& question, const Environment& environment, const RuleBook& book,
                           const ChipCosts& costs) {
  if (question.works.empty())
    throw InputError(Diagnostic{"", 0, 0, "--for", "nothing", "a scenario with `training` or `serving`", ""});
  return Answering(question, environment, book, costs).run();
}

}  // namespace flopcast
