#include "workloads/serving/traffic/traces/byte_source.h"

#include <zlib.h>
#include <zstd.h>

#include <cassert>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <utility>
#include <vector>

#include "sim/base/atomic_file.h"
#include "sim/base/diagnostic.h"

namespace flopcast {
namespace {

[[noreturn]] void refuse_file(const std::string& path, const std::string& found) {
  throw InputError(Diagnostic{.file = path, .found = found, .expected = "a request trace, a regular file"});
}

[[noreturn]] void refuse_packing(const std::string& path, const std::string& packing, const std::string& what) {
  throw InputError(Diagnostic{.file = path,
                              .found = packing + " data that are " + what,
                              .expected = "a whole file",
                              .remedy = "fetching or packing it again"});
}

class PlainFile final : public ByteSource {
 public:
  explicit PlainFile(const std::string& path) : path_(path) {
    std::error_code error;
    const auto status = std::filesystem::status(path, error);
    if (!std::filesystem::exists(status)) refuse_file(path, "no such file");
    if (std::filesystem::is_directory(status)) refuse_file(path, "a folder");
    // It is read twice: once to check every line before anything runs, once to replay.
    if (!std::filesystem::is_regular_file(status)) refuse_file(path, "a device or pipe");
    file_.reset(std::fopen(path.c_str(), "rb"));
    if (!file_) refuse_file(path, std::strerror(errno));
  }
  std::size_t read(char* data, std::size_t most) override {
    const std::size_t count = std::fread(data, 1, most, file_.get());
    if (count == 0 && std::ferror(file_.get())) refuse_file(path_, std::strerror(errno));
    return count;
  }
  void rewind() { std::rewind(file_.get()); }
  const std::string& path() const { return path_; }

 private:
  struct Close {
    void operator()(std::FILE* file) const { std::fclose(file); }
  };
  std::string path_;
  std::unique_ptr<std::FILE, Close> file_;
};

constexpr std::size_t kPackedBuffer = 64u << 10;

class GzipSource final : public ByteSource {
 public:
  explicit GzipSource(std::unique_ptr<PlainFile> file) : file_(std::move(file)), packed_(kPackedBuffer) {
    constexpr int kGzipOnly = 16 + MAX_WBITS;
    if (inflateInit2(&stream_, kGzipOnly) != Z_OK) throw std::bad_alloc();
  }
  ~GzipSource() override { inflateEnd(&stream_); }
  GzipSource(const GzipSource&) = delete;
  GzipSource& operator=(const GzipSource&) = delete;
  std::size_t read(char* data, std::size_t most) override {
    stream_.next_out = reinterpret_cast<Bytef*>(data);
    stream_.avail_out = static_cast<uInt>(most);
    while (stream_.avail_out == most) {
      if (stream_.avail_in == 0 && !refill()) {
        if (inside_) refuse_packing(file_->path(), "gzip", "cut off");
        return 0;
      }
      if (!inside_) inflateReset(&stream_);  // another member follows
      inside_ = true;
      const int result = inflate(&stream_, Z_NO_FLUSH);
      if (result == Z_STREAM_END) {
        inside_ = false;
      } else if (result != Z_OK && result != Z_BUF_ERROR) {
        refuse_packing(file_->path(), "gzip", "broken");
      }
    }
    return most - stream_.avail_out;
  }

 private:
  bool refill() {
    const std::size_t count = file_->read(packed_.data(), packed_.size());
    stream_.next_in = reinterpret_cast<Bytef*>(packed_.data());
    stream_.avail_in = static_cast<uInt>(count);
    return count > 0;
  }
  std::unique_ptr<PlainFile> file_;
  std::vector<char> packed_;
  z_stream stream_{};
  bool inside_ = false;
};

class ZstdSource final : public ByteSource {
 public:
  explicit ZstdSource(std::unique_ptr<PlainFile> file) : file_(std::move(file)), packed_(kPackedBuffer) {
    stream_.reset(ZSTD_createDStream());
    if (!stream_) throw std::bad_alloc();
    // A window beyond this is no file's that is meant to be streamed.
    constexpr int kLargestWindow = 25;  // 32 MiB
    ZSTD_DCtx_setParameter(stream_.get(), ZSTD_d_windowLogMax, kLargestWindow);
  }
  std::size_t read(char* data, std::size_t most) override {
    ZSTD_outBuffer out{data, most, 0};
    while (out.pos == 0) {
      if (in_.pos == in_.size && !refill()) {
        if (inside_) refuse_packing(file_->path(), "zstd", "cut off");
        return 0;
      }
      const std::size_t result = ZSTD_decompressStream(stream_.get(), &out, &in_);
      if (ZSTD_isError(result)) refuse_packing(file_->path(), "zstd", "broken");
      inside_ = result != 0;
    }
    return out.pos;
  }

 private:
  struct Free {
    void operator()(ZSTD_DStream* stream) const { ZSTD_freeDStream(stream); }
  };
  bool refill() {
    in_ = {packed_.data(), file_->read(packed_.data(), packed_.size()), 0};
    return in_.size > 0;
  }
  std::unique_ptr<PlainFile> file_;
  std::vector<char> packed_;
  std::unique_ptr<ZSTD_DStream, Free> stream_;
  ZSTD_inBuffer in_{nullptr, 0, 0};
  bool inside_ = false;
};

}  // namespace

std::unique_ptr<ByteSource> open_bytes(const std::string& path) {
  auto file = std::make_unique<PlainFile>(path);
  unsigned char magic[4] = {};
  const std::size_t count = file->read(reinterpret_cast<char*>(magic), sizeof magic);
  file->rewind();
  if (count >= 2 && magic[0] == 0x1f && magic[1] == 0x8b) return std::make_unique<GzipSource>(std::move(file));
  constexpr unsigned char kZstd[4] = {0x28, 0xb5, 0x2f, 0xfd};
  if (count == sizeof magic && std::memcmp(magic, kZstd, sizeof magic) == 0)
    return std::make_unique<ZstdSource>(std::move(file));
  return file;
}

/// What stands between text and file: nothing, gzip or zstd.
struct PackedFile::Packer {
  enum class Packing : std::uint8_t { none, gzip, zstd };

  explicit Packer(const std::string& path) : file(path), packed(kPackedBuffer) {
    packing = path.ends_with(".gz") ? Packing::gzip : path.ends_with(".zst") ? Packing::zstd : Packing::none;
    constexpr int kGzip = 16 + MAX_WBITS, kMemory = 8;
    if (packing == Packing::gzip &&
        deflateInit2(&gzip, Z_DEFAULT_COMPRESSION, Z_DEFLATED, kGzip, kMemory, Z_DEFAULT_STRATEGY) != Z_OK)
      throw std::bad_alloc();
    if (packing == Packing::zstd && (zstd = ZSTD_createCStream()) == nullptr) throw std::bad_alloc();
  }
  ~Packer() {
    if (packing == Packing::gzip) deflateEnd(&gzip);
    ZSTD_freeCStream(zstd);
  }
  Packer(const Packer&) = delete;
  Packer& operator=(const Packer&) = delete;

  void write_gzip(std::string_view text, int flush) {
    gzip.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
    gzip.avail_in = static_cast<uInt>(text.size());
    do {
      gzip.next_out = reinterpret_cast<Bytef*>(packed.data());
      gzip.avail_out = static_cast<uInt>(packed.size());
      deflate(&gzip, flush);
      file.write({packed.data(), packed.size() - gzip.avail_out});
    } while (gzip.avail_out == 0);
  }
  void write_zstd(std::string_view text, ZSTD_EndDirective directive) {
    ZSTD_inBuffer in{text.data(), text.size(), 0};
    for (std::size_t left = 1; left != 0;) {
      ZSTD_outBuffer out{packed.data(), packed.size(), 0};
      left = ZSTD_compressStream2(zstd, &out, &in, directive);
      if (ZSTD_isError(left)) throw std::bad_alloc();
      file.write({packed.data(), out.pos});
      if (directive == ZSTD_e_continue && in.pos == in.size) break;
    }
  }

  AtomicFile file;
  Packing packing;
  std::vector<char> packed;
  z_stream gzip{};
  ZSTD_CStream* zstd = nullptr;
};

PackedFile::PackedFile(const std::string& path) : packer_(std::make_unique<Packer>(path)) {}

PackedFile::~PackedFile() = default;

void PackedFile::write(std::string_view text) {
  assert(text.size() < (1u << 30));
  if (packer_->packing == Packer::Packing::gzip) return packer_->write_gzip(text, Z_NO_FLUSH);
  if (packer_->packing == Packer::Packing::zstd) return packer_->write_zstd(text, ZSTD_e_continue);
  packer_->file.write(text);
}

void PackedFile::commit() {
  if (packer_->packing == Packer::Packing::gzip) packer_->write_gzip({}, Z_FINISH);
  if (packer_->packing == Packer::Packing::zstd) packer_->write_zstd({}, ZSTD_e_end);
  packer_->file.commit();
}

}  // namespace flopcast
