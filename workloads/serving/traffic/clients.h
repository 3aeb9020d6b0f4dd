// Clients of benchmarks: what they make of the lengths they are given, and how much they ask. A row per client in
// clients.cc.
#pragma once
#include <cstdint>
#include <span>
#include <string_view>

namespace flopcast {

/// Lengths of a recorded data set: log-normal, cut. Prompts and answers that are longer are left out by the clients.
struct ClientLengths {
  double input = 0, output = 0;  ///< mean tokens
  double variation = 1;          ///< of both: coefficient of variation
  double least = 1, most_input = 1e8, most_output = 1e8;
};

struct ClientRow {
  std::string_view name;
  std::string_view title;
  std::string_view source;
  /// Lengths are whole numbers drawn evenly between these shares of what is stated.
  double shortest = 1, longest = 1;
  /// Of a data set that the client draws from: nothing is stated beside it. None: lengths are stated.
  const ClientLengths* lengths = nullptr;
  /// Requests in all where the traffic states no end: so many, or so many per user.
  std::int32_t requests = 0, requests_per_user = 0;
  std::string_view warm_up;  ///< what it sends before it counts,
  bool one_prompt = false;   ///< of one prompt only, again and again: other lengths find the server cold
};

std::span<const ClientRow> benchmark_clients();

}  // namespace flopcast
