// Writes timelines in Perfetto's own format (protobuf; perfetto.dev/docs/reference/trace-packet-proto), which
// ui.perfetto.dev and its trace processor read: tracks within tracks, slices with arguments, counters, arrows.
//
// The few messages that are needed are encoded here; their field numbers are part of Perfetto's stable format.
#pragma once
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "sim/base/units.h"

namespace flopcast {

/// Bytes of a protobuf message, field by field.
class ProtoBytes {
 public:
  void varint(int field, std::uint64_t value);
  void fixed64(int field, std::uint64_t value);
  void number(int field, double value);
  void bytes(int field, std::string_view value);
  void message(int field, const ProtoBytes& value) { bytes(field, value.out_); }
  const std::string& str() const { return out_; }
  void clear() { out_.clear(); }

 private:
  void raw(std::uint64_t value);
  std::string out_;
};

/// Where a trace goes, piece by piece.
using TracePieces = std::function<void(std::string_view)>;

class PerfettoWriter {
 public:
  struct Track {
    std::uint64_t id = 0;
  };
  /// An argument of a slice, shown when it is selected.
  struct Argument {
    std::string_view name;
    std::uint64_t value;
  };
  struct Slice {
    Track track;
    Seconds start, end;
    std::string_view name, category;
    std::vector<Argument> arguments;
    std::vector<std::uint64_t> flows_out, flows_in;  ///< arrows that begin and end here
  };

  explicit PerfettoWriter(TracePieces output);
  /// A process with its own heading. @param rank where it stands among its like
  Track add_process(int pid, std::string_view name, int rank);
  /// A track below another one.
  Track add_track(Track parent, std::string_view name, int rank);
  /// A curve. @param unit "%", "requests"
  Track add_counter(Track parent, std::string_view name, std::string_view unit);
  /// Slices of a track neither overlap nor nest: they come in order of their starts, each after the end of the last.
  void slice(const Slice& slice);
  void count(Track track, Seconds at, double value);
  /// Writes what is still held.
  void close();

 private:
  std::uint64_t interned(std::unordered_map<std::string, std::uint64_t>& known, std::string_view text, int field);
  Track add(ProtoBytes& descriptor, Track parent, std::string_view name, int rank);
  void packet(ProtoBytes& packet, bool defaults = false);
  TracePieces output_;
  std::string buffer_;
  ProtoBytes interned_;  // what the next packet has to bring along
  std::unordered_map<std::string, std::uint64_t> names_, categories_, arguments_;
  std::uint64_t tracks_ = 0;
};

/// Spreads slices that overlap over as few tracks as hold them one after the other.
class SlotTracks {
 public:
  /// @return the slot, from 0, that has been free since before `start`; slices come in order of their starts.
  std::size_t take(Seconds start, Seconds end);
  std::size_t size() const { return free_from_.size(); }

 private:
  std::vector<Seconds> free_from_;
};

}  // namespace flopcast
