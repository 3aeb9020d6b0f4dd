#include "analysis/render/chart/palette.h"

namespace flopcast {

// After Okabe and Ito (2008), darkened until areas keep a contrast of 3 against the paper (WCAG 2.1, 1.4.11); tests
// compute the contrast, and the distances as people with red or green blindness see them.
const std::array<ToneRow, kTones>& tones() {
  static constexpr std::array<ToneRow, kTones> kRows{{
      {"forward", "#1a6fc8", "#5b9cf5", 32},
      {"backward", "#a83a12", "#f07f36", 130},
      {"weight", "#a38f0c", "#b9f07a", 142},
      {"overlapped", "#6b4fa0", "#a994e0", 97},
      {"communication", "#8f2076", "#f58fd2", 127},
      {"bubble", "#7d9088", "#62706f", 245},
      {"optimizer", "#14161f", "#f4f6f0", 240},
      {"good", "#12805c", "#4fc99b", 35},
      {"bad", "#b3261e", "#f28b82", 160},
      {"first", "#1a6fc8", "#5b9cf5", 32},
      {"second", "#a83a12", "#f07f36", 130},
      {"third", "#12805c", "#4fc99b", 35},
      {"fourth", "#8a3f9e", "#cf94e4", 133},
      {"fifth", "#8a6d00", "#dcbb3f", 136},
      {"sixth", "#0a7d8c", "#4cc4d6", 37},
      {"seventh", "#b5306e", "#f285b4", 168},
      {"eighth", "#5c6672", "#a7b1bd", 243},
  }};
  return kRows;
}

const PageColours& light_page() {
  static constexpr PageColours kColours{"#ffffff", "#1d2430", "#535c69", "#d5dae1", "#f4f6f9", "#1a5fa0"};
  return kColours;
}

const PageColours& dark_page() {
  static constexpr PageColours kColours{"#14181f", "#e6eaf0", "#a9b3c0", "#38414e", "#1c222b", "#84bdf5"};
  return kColours;
}

}  // namespace flopcast
