#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "analysis/render/chart/chart.h"
#include "analysis/render/chart/page.h"
#include "analysis/render/text/csv.h"
#include "analysis/render/text/format.h"
#include "analysis/render/text/json.h"
#include "analysis/studies/claims/claims.h"
#include "scenarios/proto/policy_report.pb.h"

namespace flopcast {
namespace {

std::string claim_number(double value) {
  if (value != 0 && (std::abs(value) >= 1e9 || std::abs(value) < 1e-3)) return fmt::format("{:.4g}", value);
  return std::abs(value) >= 1e4 ? format_integer(value) : fmt::format("{:.4g}", value);
}

/// "2.4 x"; of what is so or not, "controlled or not controlled", what it is.
std::string with_unit(double value, const std::string& unit) {
  if (const auto at = unit.find(" or "); at != std::string::npos)
    return value != 0 ? unit.substr(0, at) : unit.substr(at + 4);
  return claim_number(value) + (unit.empty() ? "" : " " + unit);
}

std::string claimed_text(const ClaimReading& r) {
  std::vector<std::string> parts;
  if (r.equals) {
    const bool exact = r.within < 1e-6 || *r.equals == 0;
    parts.push_back(with_unit(*r.equals, r.unit) + (exact ? "" : fmt::format(" +- {:g} %", 100 * r.within)));
  }
  if (r.at_least) parts.push_back("at least " + with_unit(*r.at_least, r.unit));
  if (r.at_most) parts.push_back("at most " + with_unit(*r.at_most, r.unit));
  return fmt::format("{}", fmt::join(parts, ", "));
}

std::string verdict_line(const TestedClaim& t, const TextStyle& style) {
  const std::string text = wrap(t.verdict_text, style.width() - 4, "    ");
  return t.verdict == Verdict::holds   ? style.good(text)
         : t.verdict == Verdict::fails ? style.bad(text)
                                       : style.accent(text);
}

std::string reading_text(const ClaimReading& r, double value) {
  const std::string text = fmt::format("{}: {}", r.name, with_unit(value, r.unit));
  if (!r.judges()) return text;
  return fmt::format("{}, claimed {}: {}", text, claimed_text(r), r.holds(value) ? "holds" : "does not hold");
}

std::string block(const TestedClaim& t, const TextStyle& style) {
  const Claim& c = t.claim;
  const auto line = [&](const std::string& text, std::string_view indent) {
    return "    " + wrap(text, style.width() - 4 - indent.size(), indent) + "\n";
  };
  std::string out = style.bold(wrap(fmt::format("{}: {}", c.id, c.text), style.width() - 4, "    ")) + "\n";
  for (std::size_t i = 0; i < c.readings.size(); ++i)
    out += line("- " + reading_text(c.readings[i], t.values[i]), "      ");
  out += "    " + verdict_line(t, style) + "\n";
  return out + style.dim(line(fmt::format("published: {} [{}]", c.published, c.source), "    "));
}

std::size_t count(std::span<const TestedClaim> claims, Verdict verdict) {
  std::size_t n = 0;
  for (const TestedClaim& t : claims) n += t.verdict == verdict;
  return n;
}

std::string totals_text(std::span<const TestedClaim> claims) {
  const std::size_t open = count(claims, Verdict::cannot_be_computed);
  return fmt::format("{} claims: {} hold, {} fail, {} hold only in one reading, {} in part{}.", claims.size(),
                     count(claims, Verdict::holds), count(claims, Verdict::fails),
                     count(claims, Verdict::holds_only_if), count(claims, Verdict::holds_in_part),
                     open > 0 ? fmt::format(", {} cannot be computed", open) : "");
}

}  // namespace

std::string to_text(std::span<const TestedClaim> claims, const TextStyle& style) {
  std::string out;
  for (const TestedClaim& t : claims) out += block(t, style) + "\n";
  return out + wrap(totals_text(claims), style.width(), "") + "\n";
}

std::string to_csv(std::span<const TestedClaim> claims) {
  std::string out = csv_line({"id", "topic", "claim", "reading", "compute", "value", "unit", "claimed", "reading_holds",
                              "verdict", "said_by", "published", "source", "date"});
  for (const TestedClaim& t : claims) {
    for (std::size_t i = 0; i < t.claim.readings.size(); ++i) {
      const ClaimReading& r = t.claim.readings[i];
      out += csv_line({t.claim.id, t.claim.topic, t.claim.text, r.name, r.compute, shortest(t.values[i]), r.unit,
                       claimed_text(r), r.judges() ? (r.holds(t.values[i]) ? "yes" : "no") : "", t.verdict_text,
                       t.claim.said_by, t.claim.published, t.claim.source, t.claim.date});
    }
  }
  return out;
}

namespace {

std::vector<std::string> reading_row(const ClaimReading& r, double value) {
  return {r.name, with_unit(value, r.unit), claimed_text(r),
          r.judges() ? (r.holds(value) ? "holds" : "does not hold") : "for comparison"};
}

/// A sign and a word, which tell verdicts apart without colour.
std::string verdict_mark(Verdict verdict) {
  switch (verdict) {
    case Verdict::holds:
      return "\u2714 holds";
    case Verdict::fails:
      return "\u2718 fails";
    case Verdict::holds_only_if:
      return "\u25d0 in one reading";
    case Verdict::cannot_be_computed:
      return "? cannot be computed";
    case Verdict::holds_in_part:
      break;
  }
  return "\u25d1 in part";
}

/// Topics by how their claims fared.
StackedChart verdicts_chart(std::span<const TestedClaim> claims) {
  StackedChart chart;
  chart.title = totals_text(claims);
  chart.axis = "claims";
  chart.caption = "Each verdict follows from the figures and the bounds of a claim's readings.";
  chart.parts = {"holds", "holds in one reading, in part, or cannot be computed", "fails"};
  chart.tones = {Tone::good, Tone::first, Tone::bad};
  chart.text = chart.tick = [](double n) { return fmt::format("{:.0f}", n); };
  chart.rows_are = "topic";
  std::vector<std::string> topics;
  for (const TestedClaim& t : claims) {
    if (std::find(topics.begin(), topics.end(), t.claim.topic) == topics.end()) topics.push_back(t.claim.topic);
  }
  for (const std::string& topic : topics) {
    StackedBar bar;
    bar.name = topic;
    bar.parts.assign(3, 0.0);
    for (const TestedClaim& t : claims) {
      if (t.claim.topic != topic) continue;
      bar.parts[t.verdict == Verdict::holds ? 0 : t.verdict == Verdict::fails ? 2 : 1] += 1;
    }
    chart.bars.push_back(std::move(bar));
  }
  return chart;
}

void add_claim(const TestedClaim& t, Page& page) {
  page.heading(verdict_mark(t.verdict) + ": " + t.claim.text);
  page.paragraph(t.verdict_text);
  if (!t.claim.said_by.empty()) page.note("Said by: " + t.claim.said_by);
  std::vector<std::vector<std::string>> rows;
  for (std::size_t i = 0; i < t.claim.readings.size(); ++i)
    rows.push_back(reading_row(t.claim.readings[i], t.values[i]));
  page.table({"reading", "computed", "claimed", ""}, rows, {Align::left, Align::right, Align::right, Align::left});
  page.note(fmt::format("Published: {} [{}]", t.claim.published, t.claim.source));
}

}  // namespace

std::string to_html(std::span<const TestedClaim> claims) {
  Page page("Public claims, tested");
  page.figure(drawing_of(verdicts_chart(claims)));
  std::vector<std::vector<std::string>> rows;
  for (const TestedClaim& t : claims)
    rows.push_back({verdict_mark(t.verdict), t.claim.text, t.claim.said_by,
                    t.verdict == Verdict::holds || t.verdict == Verdict::fails ? "" : t.verdict_text});
  page.heading("Verdicts");
  page.table({"verdict", "claim", "said by", "which"}, rows, {Align::left, Align::left, Align::left, Align::left});
  for (const TestedClaim& t : claims) add_claim(t, page);
  page.note("A verdict follows from the figures and the bounds of a claim's readings; none is written down.");
  return page.str();
}

report::ClaimsReport to_message(std::span<const TestedClaim> claims) {
  report::ClaimsReport out;
  for (const TestedClaim& t : claims) {
    report::Claim& claim = *out.add_claims();
    claim.set_id(t.claim.id);
    claim.set_topic(t.claim.topic);
    claim.set_claim(t.claim.text);
    claim.set_said_by(t.claim.said_by);
    claim.set_published(t.claim.published);
    claim.set_source(t.claim.source);
    claim.set_date(t.claim.date);
    constexpr const char* kVerdicts[] = {"holds", "fails", "holds only if", "holds in part", "cannot be computed"};
    claim.set_verdict(kVerdicts[static_cast<std::size_t>(t.verdict)]);
    claim.set_verdict_text(t.verdict_text);
    for (std::size_t i = 0; i < t.claim.readings.size(); ++i) {
      const ClaimReading& r = t.claim.readings[i];
      report::ClaimReading& reading = *claim.add_readings();
      reading.set_name(r.name);
      reading.set_compute(r.compute);
      reading.set_value(t.values[i]);
      reading.set_unit(r.unit);
      reading.set_claimed(claimed_text(r));
      reading.set_judges(r.judges());
      reading.set_holds(r.judges() && r.holds(t.values[i]));
    }
  }
  return out;
}

}  // namespace flopcast
