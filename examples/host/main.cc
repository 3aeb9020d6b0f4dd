// A host program: one scenario, replayed by three threads at once on a fabric whose spine is oversubscribed.
#include <flopcast/flopcast.h>

#include <future>
#include <iostream>

constexpr char kScenario[] = R"(title: "Experts over a narrow spine"
cluster { node: "hgx-h800" nodes: 4 fabric: "mpft" fabric_override { switch_ports: 4 oversubscription: 2 } }
model: "deepseek-v2-lite"
training {
  plan { pipeline: 2 data: 16 expert: 16 }
  schedule: "dualpipe"
  batch { sequences: 128 sequence_length: 4096 }
}
)";

int main() try {
  const flopcast::Environment environment = flopcast::load_environment();
  const flopcast::ResolvedScenario scenario = flopcast::resolve_text(kScenario, "narrow.textproto", environment);
  const auto replay = [&] { return flopcast::run(scenario, environment, {.unfolded = true}); };
  auto second = std::async(std::launch::async, replay), third = std::async(std::launch::async, replay);
  const flopcast::Report report = replay();
  const bool alike = second.get().json() == report.json() && third.get().json() == report.json();
  std::cout << report.text() << "\ndata: " << environment.folders().back() << '\n';
  return alike ? 0 : 1;
} catch (const flopcast::InputError& error) {
  for (const flopcast::Diagnostic& fault : error.diagnostics())
    std::cerr << fault.field << " at " << fault.file << ':' << fault.line << ": found " << fault.found << '\n';
  return 2;
}
