#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "analysis/render/chart/chart.h"
#include "analysis/render/chart/page.h"
#include "analysis/render/text/format.h"
#include "analysis/render/text/json.h"
#include "analysis/render/text/text_table.h"
#include "analysis/studies/curve/serving_curve.h"
#include "scenarios/proto/serving_views.pb.h"

namespace flopcast {
namespace {

std::string usd(double value) { return value > 0 ? fmt::format("{:.3f}", value) : "-"; }
std::string plain(double value) { return fmt::format("{:.4g}", value); }
std::string seconds(double value) { return format_time(Seconds(value)); }

const std::vector<std::string>& columns() {
  static const std::vector<std::string> kColumns = {"users",    "tok/s/user", "tok/s/GPU", "all/GPU", "TTFT p90",
                                                    "TPOT p90", "KV",         "$/M out",   "$/M all", ""};
  return kColumns;
}
const std::vector<Align> kAligned = {Align::right, Align::right, Align::right, Align::right, Align::right,
                                     Align::right, Align::right, Align::right, Align::right, Align::left};

std::vector<std::string> row_of(const CurveRung& r) {
  return {format_integer(r.users),
          fmt::format("{:.1f}", r.tokens_per_s_per_user),
          fmt::format("{:.1f}", r.output_per_gpu),
          fmt::format("{:.0f}", r.tokens_per_gpu),
          seconds(r.ttft_p90),
          seconds(r.tpot_p90),
          format_percent(r.kv_utilization),
          usd(r.usd_per_million_output),
          usd(r.usd_per_million),
          r.on_front ? "" : "beaten"};
}

std::string title_of(const ServingCurve& curve) {
  return fmt::format("{} ({} x {})", curve.scenario.title, curve.gpus, curve.scenario.cluster.node.gpu.title);
}

/// Where each curve's letters stand in a grid of characters; the best of a cell is what was drawn first.
class Picture {
 public:
  Picture(std::span<const ServingCurve> curves, std::size_t width)
      : columns_(std::min<std::size_t>(80, width - kLabel - 4)), rows_(kRows, std::string(columns_, ' ')) {
    for (const ServingCurve& curve : curves) {
      for (const CurveRung& rung : curve.rungs) {
        most_x_ = std::max(most_x_, rung.tokens_per_s_per_user);
        most_y_ = std::max(most_y_, rung.output_per_gpu);
      }
    }
    char letter = 'A';
    for (const ServingCurve& curve : curves) draw(curve, curves.size() > 1 ? letter++ : 'o');
  }

  std::string text() const {
    std::string out = "  tok/s/GPU\n";
    for (std::size_t y = 0; y < kRows; ++y) {
      const bool labelled = y % 4 == 0 || y + 1 == kRows;
      const double value = most_y_ * static_cast<double>(kRows - 1 - y) / (kRows - 1);
      std::string row = rows_[y];
      row.erase(row.find_last_not_of(' ') + 1);
      out += fmt::format("  {} |{}\n", pad_left(labelled ? plain(std::round(value)) : "", kLabel), row);
    }
    out += "  " + std::string(kLabel, ' ') + " +" + std::string(columns_, '-') + "\n";
    const std::string end = fmt::format("{} tok/s/user", plain(std::round(most_x_)));
    return out + "  " + std::string(kLabel, ' ') + "  0" + pad_left(end, columns_ - 1) + "\n";
  }

 private:
  static constexpr std::size_t kRows = 17, kLabel = 8;

  std::pair<double, double> place(const CurveRung& rung) const {
    return {most_x_ > 0 ? rung.tokens_per_s_per_user / most_x_ * static_cast<double>(columns_ - 1) : 0,
            most_y_ > 0 ? (1 - rung.output_per_gpu / most_y_) * (kRows - 1) : 0};
  }
  void put(double x, double y, char what) {
    char& cell = rows_[static_cast<std::size_t>(std::lround(y))][static_cast<std::size_t>(std::lround(x))];
    if (cell == ' ' || cell == '.') cell = what;
  }
  void draw(const ServingCurve& curve, char letter) {
    for (const CurveRung& rung : curve.rungs) {
      const auto [x, y] = place(rung);
      put(x, y, rung.on_front ? letter : 'x');
    }
    for (std::size_t i = 0; i + 1 < curve.rungs.size(); ++i) {
      const auto [x1, y1] = place(curve.rungs[i]);
      const auto [x2, y2] = place(curve.rungs[i + 1]);
      const int steps = 1 + static_cast<int>(std::max(std::abs(x2 - x1), std::abs(y2 - y1)));
      for (int s = 1; s < steps; ++s)
        put(std::lerp(x1, x2, double(s) / steps), std::lerp(y1, y2, double(s) / steps), '.');
    }
  }

  double most_x_ = 0, most_y_ = 0;
  std::size_t columns_;
  std::vector<std::string> rows_;
};

/// Points bear their number of users; the unit stands once, at the ends of a curve.
std::string users_label(const CurveRung& rung, bool with_unit) {
  return fmt::format("{}{}", rung.users, !with_unit ? "" : rung.users == 1 ? " user" : " users");
}

/// What the curves come to, in a sentence.
std::string most_text(std::span<const ServingCurve> curves) {
  const ServingCurve* best = nullptr;
  const CurveRung* most = nullptr;
  for (const ServingCurve& curve : curves) {
    for (const CurveRung& r : curve.rungs) {
      if (most == nullptr || r.output_per_gpu > most->output_per_gpu) best = &curve, most = &r;
    }
  }
  if (most == nullptr) return "No load was replayed";
  return fmt::format("At most {} output tokens per second and GPU{}, at {} a user",
                     plain(std::round(most->output_per_gpu)), curves.size() > 1 ? " (" + best->scenario.name + ")" : "",
                     plain(std::round(most->tokens_per_s_per_user)));
}

LineChart chart_of(std::span<const ServingCurve> curves) {
  LineChart chart;
  chart.title = most_text(curves);
  chart.caption =
      "Each point is a replay with a constant number of requests under way. Hollow points are dominated: another point "
      "is "
      "at least as fast per user and per GPU.";
  chart.x_title = "output tokens per second and user";
  chart.y_title = "output tokens per second and GPU";
  chart.x_text = chart.y_text = plain;
  for (const ServingCurve& curve : curves) {
    ChartLine line{curve.scenario.title, {}, true};
    for (const CurveRung& r : curve.rungs) {
      line.points.push_back({r.tokens_per_s_per_user,
                             r.output_per_gpu,
                             fmt::format("{} users: TTFT p90 {}, ${} per million output tokens", r.users,
                                         seconds(r.ttft_p90), usd(r.usd_per_million_output)),
                             r.on_front,
                             users_label(r, &r == &curve.rungs.front() || &r == &curve.rungs.back()),
                             {}});
    }
    chart.lines.push_back(std::move(line));
  }
  return chart;
}

LineChart cost_chart_of(std::span<const ServingCurve> curves) {
  LineChart chart;
  chart.caption = "All GPUs, paid whether they work or not, over the tokens of answers; up to ten times the least.";
  chart.x_title = "output tokens per second and user";
  chart.y_title = "USD per million output tokens, all GPUs";
  chart.x_text = plain;
  chart.y_text = [](double value) { return fmt::format("${:.4g}", value); };
  double least = 1e300;
  for (const ServingCurve& curve : curves)
    for (const CurveRung& r : curve.rungs)
      if (r.usd_per_million_output > 0) least = std::min(least, r.usd_per_million_output);
  chart.title = fmt::format("A million output tokens cost ${:.3g} at the least", least);
  // A lone user of many GPUs costs a hundred times as much: beyond ten times the least the picture would show
  // nothing else.
  for (const ServingCurve& curve : curves) {
    ChartLine line{curve.scenario.title, {}, true};
    for (const CurveRung& r : curve.rungs) {
      if (r.usd_per_million_output <= 0 || r.usd_per_million_output > 10 * least) continue;
      line.points.push_back({r.tokens_per_s_per_user,
                             r.usd_per_million_output,
                             fmt::format("{} users", r.users),
                             r.on_front,
                             users_label(r, &r == &curve.rungs.back()),
                             {}});
    }
    if (!line.points.empty()) chart.lines.push_back(std::move(line));
  }
  return chart;
}

}  // namespace

std::string to_text(std::span<const ServingCurve> curves, const TextStyle& style) {
  std::string out =
      "Throughput against speed: more and more users at once\n\n" + Picture(curves, style.width()).text() + "\n";
  char letter = 'A';
  for (const ServingCurve& curve : curves) {
    const std::string mark = curves.size() > 1 ? fmt::format("{}  ", letter++) : "";
    out += mark + wrap(title_of(curve), style.width() - mark.size(), "   ") + "\n";
    TextTable table(kAligned);
    table.header(columns());
    for (const CurveRung& rung : curve.rungs) table.row(row_of(rung));
    out += table.render(style) + "\n";
  }
  return out +
         wrap(
             "tok/s/user is 1 / mean TPOT; tok/s/GPU counts output tokens over all GPUs, all/GPU input tokens too. $ "
             "is the "
             "price of all GPUs. x and `beaten`: dominated, another rung is at least as fast per user and per GPU.",
             style.width(), "") +
         "\n";
}

report::ServingCurves to_message(std::span<const ServingCurve> curves) {
  report::ServingCurves message;
  for (const ServingCurve& curve : curves) {
    report::ServingCurve& out = *message.add_curves();
    out.set_scenario(curve.scenario.name);
    out.set_title(curve.scenario.title);
    out.set_model(curve.scenario.serving->model().name);
    out.set_gpu(curve.scenario.cluster.node.gpu.name);
    out.set_gpus(curve.gpus);
    out.set_gpu_usd_per_hour(curve.scenario.price.gpu.value() * 3600);
    for (const CurveRung& r : curve.rungs) {
      report::CurveRung& rung = *out.add_rungs();
      rung.set_users(r.users);
      rung.set_output_tokens_per_s_per_user(r.tokens_per_s_per_user);
      rung.set_output_tokens_per_s_per_gpu(r.output_per_gpu);
      rung.set_tokens_per_s_per_gpu(r.tokens_per_gpu);
      rung.set_ttft_p50_s(r.ttft_p50);
      rung.set_ttft_p90_s(r.ttft_p90);
      rung.set_tpot_p50_s(r.tpot_p50);
      rung.set_tpot_p90_s(r.tpot_p90);
      rung.set_requests_per_s(r.requests_per_s);
      rung.set_usd_per_million_output_tokens(r.usd_per_million_output);
      rung.set_usd_per_million_tokens(r.usd_per_million);
      rung.set_kv_utilization(r.kv_utilization);
      rung.set_slo_attainment(r.slo_attainment);
      rung.set_on_front(r.on_front);
    }
  }
  return message;
}

std::string to_csv(std::span<const ServingCurve> curves) {
  std::string out =
      "scenario,gpu,gpus,users,output_tokens_per_s_per_user,output_tokens_per_s_per_gpu,tokens_per_s_per_gpu,"
      "ttft_p50_s,ttft_p90_s,"
      "tpot_p50_s,tpot_p90_s,requests_per_s,usd_per_million_output_tokens,usd_per_million_tokens,kv_"
      "utilization,slo_attainment,on_front\n";
  for (const ServingCurve& curve : curves) {
    for (const CurveRung& r : curve.rungs) {
      out += fmt::format("\"{}\",\"{}\",{},{}", curve.scenario.name, curve.scenario.cluster.node.gpu.name, curve.gpus,
                         r.users);
      for (const double value :
           {r.tokens_per_s_per_user, r.output_per_gpu, r.tokens_per_gpu, r.ttft_p50, r.ttft_p90, r.tpot_p50, r.tpot_p90,
            r.requests_per_s, r.usd_per_million_output, r.usd_per_million, r.kv_utilization, r.slo_attainment})
        out += "," + shortest(value);
      out += r.on_front ? ",true\n" : ",false\n";
    }
  }
  return out;
}

std::string to_html(std::span<const ServingCurve> curves) {
  Page page(curves.size() == 1 ? curves.front().scenario.title : "Throughput against speed");
  page.lead("The same deployment with more and more users at once: what a GPU gives, and what each user sees.");
  page.heading("Throughput and interactivity");
  page.figure(drawing_of(chart_of(curves)));
  const LineChart costs = cost_chart_of(curves);
  if (!costs.lines.empty()) {
    page.heading("What speed costs");
    page.figure(drawing_of(costs));
  }
  for (const ServingCurve& curve : curves) {
    page.heading(title_of(curve));
    std::vector<std::vector<std::string>> rows;
    for (const CurveRung& rung : curve.rungs) rows.push_back(row_of(rung));
    page.table(columns(), rows, kAligned);
  }
  page.note(
      "tok/s/user is 1 / mean TPOT; tok/s/GPU counts output tokens over all GPUs, \"all\" input "
      "tokens too.");
  return page.str();
}

}  // namespace flopcast
