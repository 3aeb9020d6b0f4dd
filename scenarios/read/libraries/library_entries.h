// Library files as Protobuf messages: read, laid over their bases, checked field by field. Internal to
// scenarios/.
#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "scenarios/proto/library.pb.h"
#include "scenarios/proto/rl.pb.h"
#include "scenarios/proto/serving.pb.h"
#include "scenarios/read/fields/field_rules.h"
#include "scenarios/read/libraries/libraries.h"
#include "scenarios/read/text/text_file.h"

namespace flopcast {

/// More GPUs than any cluster has; the simulated network is built in memory.
constexpr std::int64_t kMostGpus = 1 << 20;

/// A message of a library with its base, its base's base, ... laid under it.
template <class Message>
struct Entry {
  std::string name;
  Message message;
  Places places;
  std::map<std::string, Source> sources;  ///< by field
  std::vector<std::string> changed;       ///< fields that the file itself states, for a variant
};

/// Whether everything that is required must be stated.
enum class Completeness { full, partial };

/// @param name of a library's entry, or the path of a file that is no part of one.
/// @throws InputError with every fault of the entry's files. Instantiated for Gpu, Node, Fabric, Cluster,
/// Model, Software, EngineProfile and RlFramework.
template <class Message>
Entry<Message> load_entry(const Libraries& libraries, const std::string& name,
                          Completeness completeness = Completeness::full);

/// Replaces the fields of `under` that `over` states; lists are replaced as a whole, sources are added.
void lay_over(google::protobuf::Message& under, const google::protobuf::Message& over);

/// The same for an entry, with the places and sources of what `over` states below `path`.
template <class Message>
void lay_over(Entry<Message>& under, const Message& over, const Places& places, const std::string& path);

/// Multiplies the figures that `over.scale` names, after `over` has been laid over `under`.
template <class Message>
void apply_scales(Entry<Message>& under, const Message& over, const Places& places, const std::string& path,
                  Diagnostics& faults);

/// What came of an entry that was laid over: again complete, and every figure within its bounds.
/// @param path of the override, where its faults are shown.
template <class Message>
void check_overridden(const Entry<Message>& entry, const std::string& path, const Libraries& libraries,
                      Completeness completeness, Diagnostics& faults);

/// Figures that a replay needs and that nobody has published: the chip can only be classified.
std::vector<std::string> unpublished_figures(const proto::Gpu& gpu);

NamesOf names_of(const Libraries& libraries);

/// Typed values of checked messages. What goes beyond single fields is checked here and added to `faults`.
/// @pre no unpublished_figures().
GpuSpec gpu_spec(const Entry<proto::Gpu>& entry);
NodeSpec node_spec(const Entry<proto::Node>& entry, GpuSpec gpu);
FabricSpec fabric_spec(const Entry<proto::Fabric>& entry);
ModelConfig model_config(const Entry<proto::Model>& entry, Diagnostics& faults);
SoftwareProfile software_profile(const Entry<proto::Software>& entry);

/// @param path of the cluster's fields in `entry.places`: "" for a library file, "cluster." within a
/// scenario.
ClusterSpec cluster_spec(const Entry<proto::Cluster>& entry, const std::string& path, const Libraries& libraries,
                         Diagnostics& faults);

}  // namespace flopcast
