// What the busiest GPU gets of rows that a router spreads over experts: at few tokens chance decides, at many the
// router's preferences.
#pragma once

namespace flopcast {

/// Expected rows of the busiest of `ranks` GPUs where each gets `mean` on average and rows fall independently.
/// @param hot long-run load of the busiest GPU over the mean; the others share the rest.
double busiest_rows(double mean, int ranks, double hot);

/// Experts among `experts` that at least one of `rows` picks falls on, loads of experts following a log-normal
/// distribution of coefficient of variation `variation` (0: all alike).
double experts_touched(int experts, double rows, double variation);

/// To which negative power of its rank an expert's load falls where loads of `experts` have that coefficient of
/// variation (GemmShape::skew). 0: all alike.
double rank_power(int experts, double variation);

}  // namespace flopcast
