// The bytes of a file in order, unpacked where it is packed.
#pragma once
#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

namespace flopcast {

class ByteSource {
 public:
  virtual ~ByteSource() = default;
  /// At most `most` bytes into `data`; 0 at the end. @throws InputError when they cannot be read or unpacked.
  virtual std::size_t read(char* data, std::size_t most) = 0;
};

/// Plain, gzip (several members too) or zstd (several frames too), told apart by the first bytes and not by the name.
/// @throws InputError when `path` is not a regular file that can be read.
std::unique_ptr<ByteSource> open_bytes(const std::string& path);

/// A file that is there whole or not at all (sim/base/atomic_file.h), packed by the end of its name: .gz, .zst, or as
/// it is.
class PackedFile {
 public:
  /// @throws std::runtime_error when it cannot be written.
  explicit PackedFile(const std::string& path);
  ~PackedFile();
  PackedFile(const PackedFile&) = delete;
  PackedFile& operator=(const PackedFile&) = delete;
  void write(std::string_view text);
  void commit();

 private:
  struct Packer;
  std::unique_ptr<Packer> packer_;
};

}  // namespace flopcast
