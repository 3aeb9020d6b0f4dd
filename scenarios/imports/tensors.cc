#include "scenarios/imports/tensors.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <set>
#include <vector>

#include "sim/base/diagnostic.h"
#include "sim/base/file_contents.h"
#include "workloads/serving/traffic/traces/json_cursor.h"

namespace flopcast {
namespace {

namespace fs = std::filesystem;

[[noreturn]] void refuse_tensors(const fs::path& file, std::string found, std::string expected) {
  throw InputError(Diagnostic{
      .file = file.string(), .line = 1, .column = 1, .found = std::move(found), .expected = std::move(expected)});
}

bool has_part(std::string_view name, std::initializer_list<std::string_view> parts) {
  return std::ranges::any_of(parts, [&](std::string_view part) { return name.find(part) != std::string_view::npos; });
}

bool is_scale(std::string_view name) {
  return name.ends_with("scale") || name.ends_with("scale_inv") || name.ends_with("scales") ||
         name.ends_with("scale_2") || name.ends_with("zeros") || name.ends_with("zero_point") ||
         name.ends_with("g_idx") || name.ends_with("weight_shape") ||
         has_part(name, {"k_scale", "v_scale", "rotary_emb.inv_freq"});
}

/// Elements in one that is stored: what is packed has a name of its own kind.
std::uint64_t packed(std::string_view name, std::string_view type) {
  constexpr std::uint64_t kNibblesOfInt = 8, kNibblesOfByte = 2;
  if (type == "I32" && (name.ends_with("qweight") || name.ends_with("weight_packed"))) return kNibblesOfInt;
  if ((type == "U8" || type == "I8") &&
      (name.ends_with("blocks") || name.ends_with("weight") || name.ends_with("weight_packed")))
    return kNibblesOfByte;
  return 1;
}

/// The number behind "layers." or "h.", -1: none.
int layer_of(std::string_view name) {
  for (const std::string_view before : {"layers.", "h.", "blocks."}) {
    const std::size_t at = name.find(before);
    if (at == std::string_view::npos || (at > 0 && name[at - 1] != '.')) continue;
    int number = -1;
    const char* const begin = name.data() + at + before.size();
    if (std::from_chars(begin, name.data() + name.size(), number).ec == std::errc()) return number;
  }
  return -1;
}

/// {"dtype": "BF16", "shape": [4096, 4096], "data_offsets": [...]}: elements, packed ones unpacked.
std::uint64_t elements_of(JsonCursor& cursor, std::string_view name) {
  std::uint64_t stored = 1;
  std::string_view type;
  cursor.expect('{', name);
  do {
    const std::string_view key = cursor.string(name);
    cursor.expect(':', key);
    if (key == "dtype") {
      type = cursor.string(key);
    } else if (key == "shape") {
      cursor.expect('[', key);
      if (cursor.accept(']')) continue;
      do {
        const int column = cursor.column();
        const Field side{cursor.scalar(), column, key};
        std::uint64_t length = 0;
        const auto [end, error] = std::from_chars(side.text.data(), side.text.data() + side.text.size(), length);
        constexpr std::uint64_t kMost = std::uint64_t{1} << 48;
        if (error != std::errc() || end != side.text.data() + side.text.size() ||
            (length > 0 && stored > kMost / length))
          side.refuse("the side of a tensor");
        stored *= length;
      } while (cursor.accept(','));
      cursor.expect(']', key);
    } else {
      cursor.skip_value(key);
    }
  } while (cursor.accept(','));
  cursor.expect('}', name);
  return stored * packed(name, type);
}

void add_tensor(std::string_view name, std::uint64_t elements, int layers, TensorCount& count) {
  if (is_scale(name))
    count.scales += elements;
  else if (has_part(name, {"visual.", "vision", "audio", "image_", "multi_modal_projector", "mm_projector", "merger",
                           "mlp1."}))
    count.encoders += elements;
  else if (layer_of(name) >= layers || has_part(name, {"mtp.", "mtp_"}))
    count.modules += elements;
  else
    count.language += elements;
}

std::string header_of(const fs::path& file) {
  constexpr std::uint64_t kLargest = 256u << 20;
  std::ifstream in(file, std::ios::binary);
  std::array<unsigned char, 8> bytes{};
  if (!in || !in.read(reinterpret_cast<char*>(bytes.data()), bytes.size()))
    refuse_tensors(file, "no header", "a safetensors file: eight bytes with the length of a header, and the header");
  std::uint64_t length = 0;
  for (std::size_t i = bytes.size(); i-- > 0;) length = length << 8 | bytes[i];
  std::error_code none;
  if (length == 0 || length > kLargest || length + bytes.size() > fs::file_size(file, none))
    refuse_tensors(file, "a header of " + std::to_string(length) + " bytes", "one that fits into the file");
  std::string header(length, '\0');
  in.read(header.data(), static_cast<std::streamsize>(length));
  return header;
}

void add_file(const fs::path& file, int layers, TensorCount& count) {
  const std::string header = header_of(file);
  try {
    JsonCursor cursor(header);
    cursor.expect('{', "");
    if (!cursor.accept('}')) {
      do {
        const std::string_view name = cursor.string("");
        cursor.expect(':', name);
        if (name == "__metadata__")
          cursor.skip_value(name);
        else
          add_tensor(name, elements_of(cursor, name), layers, count);
      } while (cursor.accept(','));
      cursor.expect('}', "");
    }
  } catch (const LineFault& fault) {
    refuse_tensors(file, fault.field + ": " + fault.found + " in its header", fault.expected);
  }
  ++count.files;
}

/// {"total_size": 16060522496, ...}
std::uint64_t total_size(JsonCursor& cursor) {
  std::uint64_t bytes = 0;
  cursor.expect('{', "metadata");
  if (cursor.accept('}')) return 0;
  do {
    const std::string_view key = cursor.string("metadata");
    cursor.expect(':', key);
    if (key != "total_size") {
      cursor.skip_value(key);
      continue;
    }
    const int column = cursor.column();
    const Field size{cursor.scalar(), column, key};
    double value = 0;  // some files write 1.6e10 or 16060522496.0
    const auto [end, error] = std::from_chars(size.text.data(), size.text.data() + size.text.size(), value);
    if (error != std::errc() || end != size.text.data() + size.text.size() || !(value >= 0 && value < 1e18))
      size.refuse("a number of bytes");
    bytes = static_cast<std::uint64_t>(value);
  } while (cursor.accept(','));
  cursor.expect('}', "metadata");
  return bytes;
}

struct TensorIndex {
  std::set<std::string> files;  ///< that it names
  std::uint64_t bytes = 0;      ///< "total_size" of its metadata
};

TensorIndex read_index(const fs::path& index) {
  const std::string text = contents_of(index);
  TensorIndex out;
  try {
    JsonCursor cursor(text);
    cursor.expect('{', "");
    do {
      const std::string_view key = cursor.string("");
      cursor.expect(':', key);
      if (key == "metadata") {
        out.bytes = total_size(cursor);
        continue;
      }
      if (key != "weight_map") {
        cursor.skip_value(key);
        continue;
      }
      cursor.expect('{', key);
      if (cursor.accept('}')) continue;
      do {
        cursor.string(key);
        cursor.expect(':', key);
        out.files.emplace(cursor.string(key));
      } while (cursor.accept(','));
      cursor.expect('}', key);
    } while (cursor.accept(','));
  } catch (const LineFault& fault) {
    refuse_tensors(index, fault.found, fault.expected);
  }
  return out;
}

}  // namespace

TensorCount count_tensors(const std::string& folder, int layers) {
  TensorCount count;
  std::set<std::string> files;
  std::error_code none;
  for (fs::directory_iterator entry(folder, none), end; entry != end && !none; entry.increment(none))
    if (entry->path().extension() == ".safetensors") files.insert(entry->path().filename().string());
  const fs::path index = fs::path(folder) / "model.safetensors.index.json";
  if (fs::exists(index, none)) {
    const TensorIndex listed = read_index(index);
    const std::set<std::string>& named = listed.files;
    for (const std::string& name : named) {
      if (name.find('/') != std::string::npos || !files.contains(name)) {
        if (files.empty()) {  // the index alone: nothing was downloaded
          count.indexed_bytes = listed.bytes;
          return count;
        }
        refuse_tensors(index, "no file " + name + " beside it", "every file that it names");
      }
    }
    if (!named.empty()) files = named;
  }
  for (const std::string& name : files) add_file(fs::path(folder) / name, layers, count);
  return count;
}

}  // namespace flopcast
