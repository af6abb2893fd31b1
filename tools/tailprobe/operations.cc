// Makes the operations: memory and files here, the ones with a partner (database, echo thread) as
// small classes. State lives in shared pointers that the operation's function holds. Before probe.
// Always holds: nothing here touches the network beyond 127.0.0.1.
#include "tools/tailprobe/operations.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <array>
#include <numeric>
#include <string_view>
#include <thread>

#include "vecserve/database.h"

namespace vecserve::tailprobe {
namespace {

constexpr std::size_t kPageBytes = 4096;
constexpr std::size_t kWriteDim = 128;
constexpr long kTimerNs = 100'000;
constexpr std::size_t kMessageBytes = 64;
// A file that fsync runs write into from the start again, so that it does not grow.
constexpr std::size_t kFileBytes = std::size_t{16} << 20;

// Keeps the compiler from leaving out work whose result nobody needs.
void keep(const void* pointer) {
  __asm__ volatile("" : : "g"(pointer) : "memory");
}

Operation cpu_scan(std::size_t bytes) {
  auto floats = std::make_shared<std::vector<float>>(std::max<std::size_t>(bytes / 4, 1), 1.0f);
  return {"cpu_scan", "sum of squares of " + std::to_string(bytes) + " bytes of floats",
          Waits::nothing, "", [floats] {
            const float sum =
                std::inner_product(floats->begin(), floats->end(), floats->begin(), 0.0f);
            keep(&sum);
          }};
}

Operation allocation(std::size_t bytes) {
  return {"allocation", "new, one touch per page and delete of " + std::to_string(bytes) + " bytes",
          Waits::nothing, "", [bytes] {
            char* const memory = static_cast<char*>(::operator new(bytes));
            for (std::size_t at = 0; at < bytes; at += kPageBytes) memory[at] = 1;
            keep(memory);
            ::operator delete(memory);
          }};
}

Result<Operation> memory_touch(std::size_t bytes) {
  void* const memory =
      mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return Status(StatusCode::io_error, "mmap failed");
  const std::shared_ptr<void> owner(memory, [bytes](void* pages) { munmap(pages, bytes); });
  return Operation{"memory_touch",
                   "first touch of " + std::to_string(bytes / kPageBytes) + " fresh pages",
                   Waits::nothing, "", [owner, bytes] {
                     char* const pages = static_cast<char*>(owner.get());
                     madvise(pages, bytes, MADV_DONTNEED);
                     for (std::size_t at = 0; at < bytes; at += kPageBytes) pages[at] = 1;
                     keep(pages);
                   }};
}

Result<Operation> file_sync(std::size_t bytes, const std::string& folder) {
  const std::string path = folder + "/tailprobe.fsync";
  const int file = open(path.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (file < 0) return Status(StatusCode::io_error, "cannot make " + path);
  const std::shared_ptr<int> owner(new int(file), [path](int* fd) {
    close(*fd);
    unlink(path.c_str());
    delete fd;
  });
  // Every block exists before the first run, which then does what all others do.
  const std::vector<char> zeros(kFileBytes + bytes, 0);
  if (pwrite(file, zeros.data(), zeros.size(), 0) != static_cast<ssize_t>(zeros.size()) ||
      fsync(file) != 0) {
    return Status(StatusCode::io_error, "cannot write " + path);
  }
  auto data = std::make_shared<std::vector<char>>(bytes, 'x');
  auto at = std::make_shared<std::size_t>(0);
  return Operation{"fsync", "write of " + std::to_string(bytes) + " bytes and fdatasync",
                   Waits::disk, folder, [owner, data, at] {
                     (void)!pwrite(*owner, data->data(), data->size(), static_cast<off_t>(*at));
                     fdatasync(*owner);
                     *at = *at + data->size() < kFileBytes ? *at + data->size() : 0;
                   }};
}

struct OneRow {
  Database database;
  Collection rows;
  std::vector<float> vector = std::vector<float>(kWriteDim, 0.5f);
  std::uint64_t id = 0;
};

// Through the public surface, which is where a write of the product begins; below it is RocksDB.
Result<Operation> rocksdb_write(const std::string& folder) {
  const std::string path = folder + "/tailprobe.db";
  Result<Database> database = Database::open(path);
  if (!database.ok()) return database.status();
  CollectionOptions shape;
  shape.dim = kWriteDim;
  Result<Collection> rows = database->create_collection("probe", shape);
  if (!rows.ok()) return rows.status();
  auto state = std::make_shared<OneRow>(OneRow{*std::move(database), *std::move(rows)});
  return Operation{"rocksdb_write", "durable upsert of one row of 128 floats, through Database",
                   Waits::disk, folder, [state] {
                     const std::array<RowInput, 1> row = {
                         RowInput{RowId(state->id++ % 1024), VectorView(state->vector)}};
                     (void)state->rows.upsert(row);
                   }};
}

// Two connected sockets over 127.0.0.1 and a thread that sends back what comes.
class EchoPair {
 public:
  EchoPair() {
    const int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof(address);
    auto* const generic = reinterpret_cast<sockaddr*>(&address);
    if (listener >= 0 && bind(listener, generic, size) == 0 && listen(listener, 1) == 0 &&
        getsockname(listener, generic, &size) == 0) {
      near_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
      if (near_ >= 0 && connect(near_, generic, size) == 0) {
        far_ = accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
      }
    }
    if (listener >= 0) close(listener);
    if (far_ < 0) return;
    const int on = 1;
    setsockopt(near_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    setsockopt(far_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    echo_ = std::thread([this] {
      std::array<char, kMessageBytes> message{};
      while (true) {
        const ssize_t count = recv(far_, message.data(), message.size(), MSG_WAITALL);
        if (count <= 0) return;
        if (send(far_, message.data(), static_cast<std::size_t>(count), MSG_NOSIGNAL) < 0) return;
      }
    });
  }
  ~EchoPair() {
    if (near_ >= 0) shutdown(near_, SHUT_RDWR);
    if (echo_.joinable()) echo_.join();
    if (near_ >= 0) close(near_);
    if (far_ >= 0) close(far_);
  }
  EchoPair(const EchoPair&) = delete;
  EchoPair& operator=(const EchoPair&) = delete;

  bool ok() const { return far_ >= 0; }
  void round_trip() const {
    std::array<char, kMessageBytes> message{};
    (void)!send(near_, message.data(), message.size(), MSG_NOSIGNAL);
    (void)!recv(near_, message.data(), message.size(), MSG_WAITALL);
  }

 private:
  int near_ = -1;
  int far_ = -1;
  std::thread echo_;
};

Result<Operation> loopback() {
  auto pair = std::make_shared<EchoPair>();
  if (!pair->ok()) return Status(StatusCode::io_error, "cannot connect two sockets on 127.0.0.1");
  return Operation{"loopback", "64 bytes to an echo thread over TCP on 127.0.0.1 and back",
                   Waits::peer, "", [pair] { pair->round_trip(); }};
}

Operation timer() {
  return {"timer", "clock_nanosleep of 100 µs", Waits::timer, "", [] {
            const timespec time{0, kTimerNs};
            clock_nanosleep(CLOCK_MONOTONIC, 0, &time, nullptr);
          }};
}

}  // namespace

std::vector<OperationInfo> list_operations() {
  return {{"cpu_scan", "sum of squares over an array (--bytes, default 65536)", false},
          {"allocation", "new, touch and delete (--bytes, default 65536)", false},
          {"memory_touch", "first touch of fresh pages (--bytes, default 262144)", false},
          {"fsync", "write and fdatasync (--bytes, default 4096)", false},
          {"rocksdb_write", "durable upsert of one row through Database", false},
          {"loopback", "round trip over TCP on 127.0.0.1", false},
          {"timer", "sleep of 100 µs", false},
          {"gpu_kernel", "launch of an empty kernel until its end is seen", true},
          {"gpu_copy", "copy to the device and back", true},
          {"gpu_graph", "replay of a captured graph", true},
          {"gpu_allocation", "allocation and release on the device", true},
          {"gpu_search", "the real search kernel", true}};
}

Result<Operation> make_operation(const std::string& name, const OperationSettings& settings) {
  const auto bytes = [&](std::size_t usual) { return settings.bytes > 0 ? settings.bytes : usual; };
  if (name == "cpu_scan") return cpu_scan(bytes(65'536));
  if (name == "allocation") return allocation(bytes(65'536));
  if (name == "memory_touch") return memory_touch(bytes(262'144));
  if (name == "fsync") return file_sync(bytes(4'096), settings.folder);
  if (name == "rocksdb_write") return rocksdb_write(settings.folder);
  if (name == "loopback") return loopback();
  if (name == "timer") return timer();
  for (const OperationInfo& info : list_operations()) {
    if (info.name == name) {
      return Status(StatusCode::unimplemented,
                    name + " needs a GPU: this build has no device code, so there is no device");
    }
  }
  return Status::invalid_argument("op", "there is no operation " + name + "; --list names them");
}

}  // namespace vecserve::tailprobe
