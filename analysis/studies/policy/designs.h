// The chips that rules leave free, as points: which combinations of computing rate, die area, I/O and memory
// bandwidth no other free chip beats.
//
// A rule is a list of limbs, each a conjunction of bounds. All bounds are linear in the four figures (a performance
// density D bounds rate <= D x area, a sum bounds memory + I/O), so that the free region is a union of polytopes and
// every chip in it is beaten by a corner, or by a point on a bound of memory + I/O, which alone trades one figure for
// another at the same area: that edge is sampled. Memory faster than the GPU's own takes more stacks and money, so that
// there a slower one may be the better choice: those rates are sampled too.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "scenarios/policy/export_rules.h"

namespace flopcast {

struct FrontierQuestion {
  std::vector<const ExportRule*> rules;  ///< every one must leave the chip free
  std::vector<std::string> allowed;      ///< outcomes that count as free besides those that are
  double headroom = 1;                   ///< figures may be up to this many times the GPU's own
  /// Chips that exist and are free: a design may have as much of a figure as any of them has.
  std::vector<ChipFigures> sold;
  /// Two fields of a lithography scanner, 26 mm x 33 mm each: as much as one package has had. May be less than the
  /// GPU's own die has.
  double largest_area_mm2 = 1716;
  std::optional<Date> date;
};

/// The figures that are varied.
struct ChipDesign {
  double tpp = 0, area = 0, io = 0, memory = 0;  ///< TPP, mm2, GB/s both directions, GB/s
  bool operator==(const ChipDesign&) const = default;
};

/// The varied figures of a chip. @pre they are known.
ChipDesign design_of(const ChipFigures& chip);

/// The most a design may have of each figure, below the rules' bounds; the area is the largest.
/// @pre as for figures_of().
ChipDesign most_of(const ChipFigures& gpu, const FrontierQuestion& question);

/// How far below a bound the nearest chip stays: near enough that no chip between the two differs by more than 1e-4 in
/// anything, far enough that the figure reads differently. In the figure's unit; of a density, its 1e-5th part.
double step_below(const Threshold& bound);

/// `gpu` with the design's figures, and nameless where they are others than its own. @pre gpu.tpp, die_area_mm2, io and
/// memory_bandwidth are known.
ChipFigures figures_of(const ChipDesign& design, const ChipFigures& gpu);

/// Every rule of the question leaves the chip free, or says what the question allows.
bool is_free(const ChipFigures& chip, const FrontierQuestion& question, const RuleBook& book);

struct FreeDesigns {
  /// None is at least as good as another in all four figures without more memory stacks.
  std::vector<ChipDesign> unbeaten;
  std::size_t tried = 0;
};

/// @pre as for figures_of().
FreeDesigns free_designs(const ChipFigures& gpu, const FrontierQuestion& question, const RuleBook& book);

/// Free designs about one, near enough that none of the steps between designs is left out: other rates on the areas
/// that go with them, and other memory.
std::vector<ChipDesign> free_neighbours(const ChipDesign& design, const ChipFigures& gpu,
                                        const FrontierQuestion& question, const RuleBook& book);

/// What `--allow` names. @throws InputError for a word that no rule of the question says, with the nearest one.
void check_allowed(const FrontierQuestion& question);

}  // namespace flopcast
