#include "workloads/training/step/training_step.h"

#include <fmt/format.h>

#include <algorithm>

#include "flopcast/errors.h"
#include "workloads/training/passes/end_of_step.h"
#include "workloads/training/passes/expert_groups.h"
#include "workloads/training/passes/pass_emitter.h"
#include "workloads/training/passes/pipeline_meetings.h"
#include "workloads/training/prices/step_choices.h"
#include "workloads/training/prices/step_layout.h"
#include "workloads/training/prices/step_prices.h"

namespace flopcast {

namespace {

bool is_long(const TrainingConfig& config, const StepExtent& extent) {
  const std::int64_t micro_batches = config.micro_batches();
  return extent.micro_batches > 0 && 2 * std::int64_t{extent.micro_batches} <= micro_batches &&
         micro_batches * config.model.layers > extent.short_step;
}

/// The whole schedule, or what stands for it.
ShortenedSchedule make_schedule(const TrainingConfig& config, const StepExtent& extent = {}) {
  const int rounds = config.rounds();
  const ScheduleRequest request{config.plan.pipeline, config.micro_batches() / rounds, config.plan.chunks};
  if (!config.schedule_text.empty())
    return {in_rounds(parse_schedule(config.schedule_text, config.schedule_file, request), rounds), 0, {}};
  const ScheduleRow* row = find_schedule(config.schedule);
  if (row == nullptr) {
    std::vector<std::string> names;
    for (const ScheduleRow& known : schedules()) names.emplace_back(known.name);
    throw InputError(Diagnostic{"", 0, 0, "training.schedule", config.schedule, "the name of a schedule",
                                nearest_name(config.schedule, names)});
  }
  if (auto faults = row->check(request); !faults.empty()) throw InputError(std::move(faults));
  if (rounds == 1 && is_long(config, extent)) {
    if (auto shortened = shorten(*row, request, extent.micro_batches)) return std::move(*shortened);
  }
  return {in_rounds(row->build(request), rounds), 0, {}};
}

void check_stage_layers(const TrainingConfig& config, const Schedule& schedule) {
  const std::vector<int>& given = config.plan.stage_layers;
  if (given.empty()) return;
  int sum = 0;
  for (int layers : given) sum += layers;
  if (static_cast<int>(given.size()) == schedule.stages && sum == config.model.layers) return;
  throw InputError(Diagnostic{"", 0, 0, "training.plan.stage_layers",
                              fmt::format("{} numbers that add up to {}", given.size(), sum),
                              fmt::format("{} numbers, one per stage, that add up to the model's {} layers",
                                          schedule.stages, config.model.layers),
                              ""});
}

/// Builds one step: layout, lanes, passes, what follows the last pass.
class StepBuilder {
 public:
  StepBuilder(const TrainingConfig& config, Topology& topology, const KernelModel& kernels,
              const LinkCalibration& links, ShortenedSchedule schedule)
      : config_(config),
        repeated_(std::move(schedule.of_rank)),
        more_(schedule.more),
        topology_(topology),
        links_(links),
        grid_(config.plan),
        loads_(expert_rank_loads(config, topology.cluster().node.gpus)),
        exchanges_(config, topology.cluster(), links),
        prices_(config, kernels, exchanges_, loads_),
        replay_(choose_replayed(config, topology.cluster(), loads_)),
        graph_(training_op_names()),
        shards_(config, grid_, topology, links, graph_),
        experts_(config, grid_, loads_, StepPrices::sent_tokens(config), topology, links) {
    step_.schedule = std::move(schedule.schedule);
    shards_.note_in(step_.collectives);
    choose_overlap();
    check_stage_layers(config, step_.schedule);
    step_.hottest_load = *std::max_element(loads_.begin(), loads_.end());
    split(topology.cluster().node.gpu.hbm_usable());
    step_.notes = replay_.notes;
    step_.folded = replay_.folded;
  }

  void split(Bytes capacity) {
    const Schedule& schedule = step_.schedule;
    const auto memory = [&](const std::vector<StageContent>& stages) {
      return memory_totals(config_, stages, schedule, step_.hottest_load);
    };
    FittedSplit fitted = split_within_memory(config_, schedule.stage_of, stage_groups(schedule), prices_.layer_costs(),
                                             capacity, memory);
    step_.stages = std::move(fitted.stages);
    moved_for_memory_ = fitted.moved_for_memory;
  }

  /// For a single pass pair: the stages are given, not cut from the model.
  void set_stages(std::vector<StageContent> stages) { step_.stages = std::move(stages); }

  /// Drops every backward, the forward's company in overlapped passes, and MTP. Layers stay on the stages of the step.
  void keep_forward_passes() {
    for (std::vector<Pass>& order : step_.schedule.order) {
      std::vector<Pass> forward;
      for (const Pass& pass : order) {
        if (pass.kind == PassKind::forward || pass.kind == PassKind::overlapped)
          forward.push_back({PassKind::forward, pass.chunk, pass.micro_batch, 0, 0});
      }
      order = std::move(forward);
    }
    for (StageContent& stage : step_.stages) stage.mtp_modules = 0;
    overlap_.reduce_last = overlap_.reduce_always = overlap_.sum_groups = false;
  }

  /// @param go_on asked now and then while passes are added.
  void ask(std::function<bool()> go_on) { go_on_ = std::move(go_on); }

  enum class Ending { optimizer, none };
  TrainingStep build(Ending ending) && {
    add_ranks();
    add_passes();
    if (ending == Ending::optimizer) {
      EndOfStep(config_, grid_, step_.schedule, step_.stages, prices_, topology_, links_, graph_, programs_,
                step_.collectives)
          .add(overlap_);
    }
    finish();
    step_.network = &topology_.network();
    return std::move(step_);
  }

 private:
  void choose_overlap() {
    bool held_twice = false;
    for (int p = 0; p < grid_.pipeline; ++p) held_twice |= holders_of_same_stages(step_.schedule, p).size() > 1;
    overlap_ = collectives_beside_passes(config_, grid_, held_twice);
  }

  void add_ranks() {
    for (const ReplayChoice& choice : replay_.gpus) {
      RankProgram program;
      ReplayedRank& rank = program.rank;
      rank.gpu = choice.gpu;
      rank.pipeline_rank = grid_.pipeline_rank(choice.gpu);
      program.position = grid_.position(choice.gpu);
      rank.replica = grid_.replica(program.position);
      rank.tensor_rank = grid_.tensor_rank(program.position);
      rank.weight = choice.weight;
      rank.speed = choice.speed;
      rank.compute = graph_.add_lane(choice.gpu, "compute");
      rank.communication = graph_.add_lane(choice.gpu, "communication");
      rank.pipeline = graph_.add_lane(choice.gpu, "pipeline");
      if (overlap_.reduce_last || overlap_.reduce_always) rank.gradients = graph_.add_lane(choice.gpu, "gradients");
      if (overlap_.gather_first || overlap_.gather_always) rank.parameters = graph_.add_lane(choice.gpu, "parameters");
      program.expert_rank = grid_.expert_rank(program.position);
      program.port_speeds = port_speeds(grid_, topology_.cluster(), choice.gpu);
      programs_.push_back(std::move(program));
      step_.ranks.push_back(programs_.back().rank);
    }
    shards_.connect(programs_);
    if (config_.model.moe.experts > 0 && grid_.expert > 1) experts_.connect(programs_, replay_.folded);
  }

  void add_passes() {
    // Copies of the pipeline: the replayed ranks of one replica index, or of the one that stands for it.
    const int copies = static_cast<int>(programs_.size()) / grid_.pipeline;
    PipelineMail mail(copies, step_.schedule.stages, step_.schedule.micro_batches);
    PassEmitter emitter(config_, step_.schedule, step_.stages, prices_, topology_, links_, graph_, mail, shards_,
                        overlap_, UnitParameters(config_, count_parameters(config_.model)));
    std::vector<std::vector<RankId>> peers(copies, std::vector<RankId>(grid_.pipeline));
    for (std::size_t i = 0; i < programs_.size(); ++i) {
      peers[i % copies][programs_[i].rank.pipeline_rank] = programs_[i].rank.gpu;  // programs_ go by pipeline rank
    }
    if (more_ > 0) step_.repeated = RepeatedStretch{more_, step_.schedule.micro_batches, {}};
    for (std::size_t i = 0; i < programs_.size(); ++i) {
      const int copy = static_cast<int>(i) % copies;
      const int pipeline_rank = programs_[i].rank.pipeline_rank;
      const std::size_t first_pass = step_.passes.size();
      if (more_ > 0) step_.repeated->of_rank.push_back(moved(repeated_[pipeline_rank], first_pass));
      for (const Pass& pass : step_.schedule.order[pipeline_rank]) {
        constexpr std::size_t kAsk = 1 << 14;
        if (go_on_ && graph_.size() - asked_at_ >= kAsk) {
          asked_at_ = graph_.size();
          if (!go_on_()) throw Interrupted();
        }
        const OpId first = OpId::at(graph_.size());
        const std::int64_t times = times_of(step_.passes.size());
        emitter.emit(programs_[i], pass, CopyId::at(copy), peers[copy], times);
        step_.passes.push_back({static_cast<std::uint32_t>(i), pass, first, OpId::at(graph_.size()), times,
                                emitter.host().within, emitter.host().beside});
      }
      if (i == 0 && !replay_.folded) graph_.expect_again(programs_.size() - 1);
    }
    mail.connect(graph_);
    if (config_.software.blocking_messages && grid_.pipeline > 1) connect_meetings(copies);
    step_.evidence = emitter.evidence();
    step_.sources = emitter.sources();
    step_.settled = prices_.settled();
  }

  /// Both ranks of a message stop for it.
  void connect_meetings(int copies) {
    for (const PipelineMeeting& meeting : pipeline_meetings(step_.schedule)) {
      for (int copy = 0; copy < copies; ++copy) {
        // Programs go by pipeline rank.
        const auto& sender = programs_[static_cast<std::size_t>(meeting.sender) * copies + copy].pass_ends;
        const auto& receiver = programs_[static_cast<std::size_t>(meeting.receiver) * copies + copy].pass_ends;
        const OpId message = sender[meeting.made_by].sent[meeting.kind == PipelineMail::Kind::activation ? 0 : 1];
        if (!message.valid()) continue;  // of a what-if without messages
        if (meeting.held > 0) graph_.after(message, receiver[meeting.held - 1].exit);
        if (meeting.held < receiver.size()) graph_.after(receiver[meeting.held].entry, message);
        if (meeting.made_by + 1 < sender.size()) graph_.after(sender[meeting.made_by + 1].entry, message);
      }
    }
  }

  static RepeatedPasses moved(RepeatedPasses passes, std::size_t by) {
    for (std::size_t* position : {&passes.begin, &passes.end, &passes.seen_begin, &passes.seen_end}) *position += by;
    return passes;
  }

  /// Of a pass of the rank that is being filled.
  std::int64_t times_of(std::size_t pass) const {
    if (!step_.repeated) return 1;
    const RepeatedPasses& own = step_.repeated->of_rank.back();
    return pass >= own.begin && pass < own.end ? 1 + more_ : 1;
  }

  void finish() {
    step_.memory = memory_per_rank(config_, step_.stages, step_.schedule, step_.hottest_load);
    step_.tokens = static_cast<double>(config_.batch.tokens());
    const auto flop = [&](bool causal) { return Flop(step_.tokens * model_flop_per_token(config_, causal)); };
    step_.model_flop_causal = flop(true);
    step_.model_flop = flop(false);
    if (config_.batch.attended() > config_.model.max_positions && config_.model.max_positions > 0) {
      step_.notes.push_back(
          fmt::format("texts of {} tokens are longer than the {} positions that {} is made for: training has to extend "
                      "them, which takes no time of its own here",
                      config_.batch.attended(), config_.model.max_positions, config_.model.name));
    }
    if (config_.efficiency != 1) {
      step_.notes.push_back(fmt::format(
          "WHAT-IF: all compute runs at {:g} times its predicted speed (training.efficiency)", config_.efficiency));
    }
    add_notes();
    step_.graph = std::move(graph_).build();
  }

  void add_notes() {
    if (const SoftwareProfile& software = config_.software; !software.name.empty())
      step_.notes.push_back(fmt::format("software {}: {}", software.name, to_text(software)));
    if (config_.plan.stage_layers.empty()) {
      std::string counts;
      for (const StageContent& stage : step_.stages) counts += fmt::format(" {:.4g}", stage.layers());
      step_.notes.push_back(fmt::format("layers per stage ({}{}):{}", config_.plan.layer_split,
                                        moved_for_memory_ ? ", within memory" : "", counts));
    }
    if (const double stretch = spread_factor(config_); stretch > 1) {
      step_.notes.push_back(fmt::format(
          "GPU speeds spread by {:.2g} %: the slowest of {} that wait for each other stretches "
          "compute by {:.2f} %",
          100 * config_.gpu_speed_spread(), config_.plan.replicas() * config_.plan.tensor, 100 * (stretch - 1)));
    }
    if (step_.settled && step_.settled->clock < 1) {
      step_.notes.push_back(fmt::format(
          "the board's limit of {:.0f} W holds the clock at {:.1f} % of the data sheet's while GPUs compute "
          "(explain: training.mechanisms.board_limit)",
          topology_.cluster().node.gpu.tdp.value(), 100 * step_.settled->clock * config_.overheads.vendor_clock));
    }
    const GpuSpec& gpu = topology_.cluster().node.gpu;
    if (config_.mechanisms.board_limit && !step_.settled && gpu.tdp < gpu.rated_power()) {
      step_.notes.push_back(fmt::format(
          "the board's limit of {:.0f} W, below the {:.0f} W that the chip is sold with, makes each kernel slower that "
          "asks for more (explain: training.mechanisms.board_limit)",
          gpu.tdp.value(), gpu.rated_power().value()));
    }
    if (step_.hottest_load > 1) {
      const MoeConfig& moe = config_.model.moe;
      const bool full = step_.hottest_load >= most_of_mean(moe.experts, moe.experts_per_token) * (1 - 1e-9) &&
                        !config_.expert_load.capacity_factor;
      step_.notes.push_back(fmt::format(
          "the busiest expert rank gets {:.1f} % more tokens than the mean{}", 100 * (step_.hottest_load - 1),
          full ? fmt::format(": more cannot be, for a token goes to {} different ones of {} experts",
                             moe.experts_per_token, moe.experts)
               : ""));
    }
  }

  const TrainingConfig& config_;
  std::vector<RepeatedPasses> repeated_;  // by pipeline rank, positions in its order
  std::int64_t more_ = 0;
  Topology& topology_;
  const LinkCalibration& links_;
  JobGrid grid_;
  std::vector<double> loads_;
  ExchangeTimes exchanges_;
  StepPrices prices_;
  ReplayPlan replay_;
  GraphBuilder graph_;
  ShardTraffic shards_;
  ExpertGroups experts_;
  ShardPlan overlap_;
  bool moved_for_memory_ = false;  // a faster split would not have fitted
  std::vector<RankProgram> programs_;
  std::function<bool()> go_on_;
  std::size_t asked_at_ = 0;  // operations, when that was asked last
  TrainingStep step_;
};

}  // namespace

double model_flop_per_token(const TrainingConfig& config, bool causal) {
  double flop = training_flop_per_token(config.model, config.batch.attended(), causal, false);
  if (const double kept = config.expert_load.capacity_factor.value_or(1); kept < 1) {
    const ModelConfig& model = config.model;
    // Rows of tokens that experts have no room for are multiplied with nothing (frozen weights get no gradient).
    const double per_element = config.adapter_rank == 0 ? 6 : 4;
    flop -=
        (1 - kept) * per_element * model.moe_layers() * model.moe.experts_per_token * count_parameters(model).expert;
  }
  return config.adapter_rank == 0 ? flop : flop - weight_gradient_flop_per_token(config.model);
}

TrainingStep build_training_step(const TrainingConfig& config, Topology& topology, const KernelModel& kernels,
                                 const LinkCalibration& links, StepExtent extent, const std::function<bool()>& go_on) {
  StepBuilder builder(config, topology, kernels, links, make_schedule(config, extent));
  builder.ask(go_on);
  return std::move(builder).build(StepBuilder::Ending::optimizer);
}

TrainingStep build_forward_passes(const TrainingConfig& base, Topology& topology, const KernelModel& kernels,
                                  const LinkCalibration& links) {
  TrainingConfig config = base;
  config.plan.overlap_parameters = false;  // nothing has been updated that would have to be gathered
  StepBuilder builder(config, topology, kernels, links, make_schedule(config));
  builder.keep_forward_passes();
  return std::move(builder).build(StepBuilder::Ending::none);
}

TrainingStep build_overlapped_pair(const TrainingConfig& base, int layers, Topology& topology,
                                   const KernelModel& kernels, const LinkCalibration& links) {
  TrainingConfig config = base;
  config.plan.pipeline = 1;
  config.plan.data = base.plan.expert;
  config.plan.context = 1;
  config.plan.tensor = 1;
  config.plan.stage_layers.clear();
  config.expert_load = {};
  config.mechanisms.embedding_head_mtp = false;
  config.mechanisms.pipeline_transfers = false;
  config.mechanisms.gradient_collectives = false;
  config.mechanisms.gpu_speed_spread = 0;
  config.batch.sequences = static_cast<std::int64_t>(config.plan.data) * config.batch.micro_batch_sequences * 2;

  Schedule schedule;
  schedule.name = "overlapped pair";
  schedule.ranks = 1;
  schedule.micro_batches = 2;
  schedule.stages = 1;
  schedule.stage_of = {{0}};
  schedule.direction_of = {0, 0};
  schedule.order = {{Pass{PassKind::overlapped, 0, 1, 0, 0}}};
  schedule.declared_peak_activations = {2};
  schedule.overlaps = true;
  StageContent stage;
  stage.first_layer = base.model.moe.first_dense_layers;
  stage.moe_layers = layers;
  StepBuilder builder(config, topology, kernels, links, {std::move(schedule), 0, {}});
  builder.set_stages({stage});
  return std::move(builder).build(StepBuilder::Ending::none);
}

}  // namespace flopcast
