// One palette with meaning, for pages, pictures, timelines and the terminal: forward work has the same colour wherever
// it is shown. Tones of work differ in lightness too, so that they are told apart without seeing red and green alike.
#pragma once
#include <array>
#include <cstdint>
#include <string>
#include <string_view>

namespace flopcast {

enum class Tone : std::uint8_t {
  forward,        ///< forward passes; prompts
  backward,       ///< gradients of inputs, full backward passes; answers
  weight,         ///< gradients of weights
  overlapped,     ///< a forward and a backward pass at once
  communication,  ///< moving bytes, and waiting for them
  bubble,         ///< nothing to do; queueing
  optimizer,      ///< optimiser, checkpoints: neither pass nor waiting
  good,
  bad,
  first,  ///< from here on: series without a meaning of their own, in order
  second,
  third,
  fourth,
  fifth,
  sixth,
  seventh,
  eighth,
};
inline constexpr std::size_t kTones = 17;

struct ToneRow {
  std::string_view name;   ///< class in pages: "forward"
  std::string_view light;  ///< on white: "#2f6fb0"
  std::string_view dark;   ///< on black
  int terminal;            ///< of the 256 colours of terminals
};
const std::array<ToneRow, kTones>& tones();

inline const ToneRow& row_of(Tone tone) { return tones()[static_cast<std::size_t>(tone)]; }

/// The i-th series, over and over again after the eighth.
inline Tone series_tone(std::size_t i) { return static_cast<Tone>(static_cast<std::size_t>(Tone::first) + i % 8); }

/// What text, lines and paper of a page look like, light and dark.
struct PageColours {
  std::string_view paper, ink, quiet, line, band, accent;
};
const PageColours& light_page();
const PageColours& dark_page();

}  // namespace flopcast
