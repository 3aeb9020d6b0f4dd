#include "analysis/render/text/perfetto.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace flopcast {
namespace {

// Field numbers of the schema of Perfetto's traces (protos/perfetto/trace).
namespace trace {
constexpr int kPacket = 1;
}
namespace packet {
constexpr int kTimestamp = 8, kSequence = 10, kTrackEvent = 11, kInterned = 12, kSequenceFlags = 13, kDescriptor = 60;
constexpr std::uint64_t kCleared = 1, kNeeded = 2;  // incremental state
}  // namespace packet
namespace descriptor {
constexpr int kUuid = 1, kName = 2, kProcess = 3, kParent = 5, kCounter = 8, kOrdering = 11, kRank = 12;
constexpr std::uint64_t kExplicit = 3;  // children stand by their ranks
constexpr int kPid = 1, kProcessName = 6, kUnitName = 6;
}  // namespace descriptor
namespace event {
constexpr int kCategory = 3, kAnnotation = 4, kType = 9, kName = 10, kTrack = 11, kDouble = 44, kFlow = 47,
              kLastFlow = 48;
constexpr std::uint64_t kBegin = 1, kEnd = 2, kCount = 4;
constexpr int kAnnotationName = 1, kAnnotationUint = 3;
}  // namespace event
namespace interning {
constexpr int kCategories = 1, kNames = 2, kAnnotations = 3, kId = 1, kText = 2;
}

constexpr std::size_t kFlush = 1 << 16;
constexpr std::uint64_t kSequenceId = 1;

std::uint64_t whole_nanoseconds(Seconds time) { return static_cast<std::uint64_t>(std::llround(time.value() * 1e9)); }

}  // namespace

void ProtoBytes::raw(std::uint64_t value) {
  for (; value >= 0x80; value >>= 7) out_ += static_cast<char>(value | 0x80);
  out_ += static_cast<char>(value);
}

void ProtoBytes::varint(int field, std::uint64_t value) {
  raw(static_cast<std::uint64_t>(field) << 3);
  raw(value);
}

void ProtoBytes::fixed64(int field, std::uint64_t value) {
  raw(static_cast<std::uint64_t>(field) << 3 | 1);
  for (int i = 0; i < 8; ++i) out_ += static_cast<char>(value >> (8 * i));
}

void ProtoBytes::number(int field, double value) { fixed64(field, std::bit_cast<std::uint64_t>(value)); }

void ProtoBytes::bytes(int field, std::string_view value) {
  raw(static_cast<std::uint64_t>(field) << 3 | 2);
  raw(value.size());
  out_ += value;
}

PerfettoWriter::PerfettoWriter(TracePieces output) : output_(std::move(output)) {
  ProtoBytes first;
  first.varint(packet::kSequenceFlags, packet::kCleared);
  packet(first);
}

void PerfettoWriter::packet(ProtoBytes& content, bool needs_state) {
  content.varint(packet::kSequence, kSequenceId);
  if (needs_state) {
    content.varint(packet::kSequenceFlags, packet::kNeeded);
    if (!interned_.str().empty()) content.message(packet::kInterned, interned_);
    interned_.clear();
  }
  ProtoBytes framed;
  framed.message(trace::kPacket, content);
  buffer_ += framed.str();
  if (buffer_.size() < kFlush) return;
  output_(buffer_);
  buffer_.clear();
}

void PerfettoWriter::close() {
  output_(buffer_);
  buffer_.clear();
}

PerfettoWriter::Track PerfettoWriter::add(ProtoBytes& described, Track parent, std::string_view name, int rank) {
  const Track track{++tracks_};
  described.varint(descriptor::kUuid, track.id);
  described.bytes(descriptor::kName, name);
  if (parent.id != 0) described.varint(descriptor::kParent, parent.id);
  described.varint(descriptor::kOrdering, descriptor::kExplicit);
  described.varint(descriptor::kRank, static_cast<std::uint64_t>(rank));
  ProtoBytes content;
  content.message(packet::kDescriptor, described);
  packet(content);
  return track;
}

PerfettoWriter::Track PerfettoWriter::add_process(int pid, std::string_view name, int rank) {
  ProtoBytes process, described;
  process.varint(descriptor::kPid, static_cast<std::uint64_t>(pid));
  process.bytes(descriptor::kProcessName, name);
  described.message(descriptor::kProcess, process);
  return add(described, {}, name, rank);
}

PerfettoWriter::Track PerfettoWriter::add_track(Track parent, std::string_view name, int rank) {
  ProtoBytes described;
  return add(described, parent, name, rank);
}

PerfettoWriter::Track PerfettoWriter::add_counter(Track parent, std::string_view name, std::string_view unit) {
  ProtoBytes counter, described;
  counter.bytes(descriptor::kUnitName, unit);
  described.message(descriptor::kCounter, counter);
  return add(described, parent, name, 1000);  // below the lanes
}

std::uint64_t PerfettoWriter::interned(std::unordered_map<std::string, std::uint64_t>& known, std::string_view text,
                                       int field) {
  const auto [at, fresh] = known.try_emplace(std::string(text), known.size() + 1);
  if (fresh) {
    ProtoBytes entry;
    entry.varint(interning::kId, at->second);
    entry.bytes(interning::kText, text);
    interned_.message(field, entry);
  }
  return at->second;
}

void PerfettoWriter::slice(const Slice& slice) {
  ProtoBytes begin, end, content;
  begin.varint(event::kType, event::kBegin);
  begin.varint(event::kTrack, slice.track.id);
  begin.varint(event::kName, interned(names_, slice.name, interning::kNames));
  begin.varint(event::kCategory, interned(categories_, slice.category, interning::kCategories));
  for (const Argument& argument : slice.arguments) {
    ProtoBytes annotation;
    annotation.varint(event::kAnnotationName, interned(arguments_, argument.name, interning::kAnnotations));
    annotation.varint(event::kAnnotationUint, argument.value);
    begin.message(event::kAnnotation, annotation);
  }
  for (const std::uint64_t flow : slice.flows_out) begin.fixed64(event::kFlow, flow);
  for (const std::uint64_t flow : slice.flows_in) begin.fixed64(event::kLastFlow, flow);
  content.varint(packet::kTimestamp, whole_nanoseconds(slice.start));
  content.message(packet::kTrackEvent, begin);
  packet(content, true);
  content.clear();
  end.varint(event::kType, event::kEnd);
  end.varint(event::kTrack, slice.track.id);
  content.varint(packet::kTimestamp, whole_nanoseconds(slice.end));
  content.message(packet::kTrackEvent, end);
  packet(content, true);
}

void PerfettoWriter::count(Track track, Seconds at, double value) {
  ProtoBytes counted, content;
  counted.varint(event::kType, event::kCount);
  counted.varint(event::kTrack, track.id);
  counted.number(event::kDouble, value);
  content.varint(packet::kTimestamp, whole_nanoseconds(at));
  content.message(packet::kTrackEvent, counted);
  packet(content, true);
}

std::size_t SlotTracks::take(Seconds start, Seconds end) {
  const auto free = std::find_if(free_from_.begin(), free_from_.end(), [&](Seconds from) { return from <= start; });
  const auto slot = static_cast<std::size_t>(free - free_from_.begin());
  if (free == free_from_.end())
    free_from_.push_back(end);
  else
    *free = end;
  return slot;
}

}  // namespace flopcast
